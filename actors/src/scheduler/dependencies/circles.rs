//! Which nodes of a graph lie on a circle, in a time that grows with its edges alone. Pure.

/// Returns for each node whether it reaches itself. `edges` leads from each node to others, by number
/// (Kosaraju's components, without recursion).
pub(crate) fn on_circles(edges: &[Vec<usize>]) -> Vec<bool> {
    let mut reversed = vec![Vec::new(); edges.len()];
    for (from, others) in edges.iter().enumerate() {
        for to in others {
            if let Some(others) = reversed.get_mut(*to) {
                others.push(from);
            }
        }
    }
    let mut on_circle: Vec<bool> =
        edges.iter().enumerate().map(|(node, others)| others.contains(&node)).collect();
    let mut seen = vec![false; edges.len()];
    // Backwards, in the order in which they were left: each search finds one component.
    for start in left_in_order(edges).into_iter().rev() {
        let mut component = Vec::new();
        let mut ahead = vec![start];
        while let Some(node) = ahead.pop() {
            if is_first_visit(&mut seen, node) {
                component.push(node);
                ahead.extend(reversed.get(node).into_iter().flatten());
            }
        }
        if component.len() > 1 {
            for node in component {
                if let Some(on_circle) = on_circle.get_mut(node) {
                    *on_circle = true;
                }
            }
        }
    }
    on_circle
}

/// Returns all nodes in the order in which a search in depth leaves them.
fn left_in_order(edges: &[Vec<usize>]) -> Vec<usize> {
    let mut seen = vec![false; edges.len()];
    let mut order = Vec::with_capacity(edges.len());
    for start in 0..edges.len() {
        // Each node with how many of its edges were followed.
        let mut path = Vec::new();
        if is_first_visit(&mut seen, start) {
            path.push((start, 0_usize));
        }
        while let Some((node, followed)) = path.last_mut() {
            let next = edges.get(*node).and_then(|others| others.get(*followed));
            *followed = followed.saturating_add(1);
            match next {
                Some(next) if is_first_visit(&mut seen, *next) => path.push((*next, 0)),
                Some(_) => {}
                None => {
                    order.push(*node);
                    path.pop();
                }
            }
        }
    }
    order
}

fn is_first_visit(seen: &mut [bool], node: usize) -> bool {
    seen.get_mut(node).is_some_and(|seen| !std::mem::replace(seen, true))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As a child would find out.
    fn reaches_itself(edges: &[Vec<usize>], start: usize) -> bool {
        let (mut seen, mut ahead) = (vec![false; edges.len()], edges[start].clone());
        while let Some(node) = ahead.pop() {
            if !std::mem::replace(&mut seen[node], true) {
                ahead.extend(&edges[node]);
            }
        }
        seen[start]
    }

    #[test]
    fn those_that_reach_themselves_are_on_a_circle() {
        let mut random = fastrand::Rng::with_seed(3);
        for _ in 0..2_000 {
            let nodes = random.usize(1..9);
            let edges: Vec<Vec<usize>> = (0..nodes)
                .map(|_| (0..random.usize(0..3)).map(|_| random.usize(0..nodes)).collect())
                .collect();
            let expected: Vec<_> = (0..nodes).map(|node| reaches_itself(&edges, node)).collect();
            assert_eq!(on_circles(&edges), expected, "{edges:?}");
        }
    }

    #[test]
    fn a_long_line_takes_no_stack_and_a_dense_graph_no_square_of_its_edges() {
        let line: Vec<_> = (0..100_000).map(|node| vec![(node + 1) % 100_000]).collect();
        assert!(on_circles(&line).into_iter().all(|it| it));
        let dense: Vec<_> = (0..2_000_usize).map(|node| (node + 1..2_000).collect()).collect();
        assert!(!on_circles(&dense).into_iter().any(|it| it));
    }
}
