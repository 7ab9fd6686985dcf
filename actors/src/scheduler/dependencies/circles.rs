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
mod tests;
