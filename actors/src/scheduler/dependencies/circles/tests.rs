//! Circles of random graphs, and of large ones.

use super::*;

/// Follows every path, without any cleverness.
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
