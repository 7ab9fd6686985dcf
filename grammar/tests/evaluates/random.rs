//! Random conditions: against a second, naive evaluator, and against the laws of Kleene's logic.

use std::collections::BTreeMap;

use grammar::{Condition, Truth};
use proptest::prelude::*;

use crate::{Metrics, parse};

/// A condition as the test sees it; it knows nothing of the crate's own tree.
#[derive(Clone, Debug)]
enum Node {
    Compare(Side, &'static str, Side),
    Not(Box<Node>),
    And(Vec<Node>),
    Or(Vec<Node>),
}

#[derive(Clone, Debug)]
enum Side {
    Number(f64, &'static str),
    Metric(&'static str),
    Nil,
}

const NAMES: [&str; 5] = ["a", "b", "c.d", "_e", "nilly"];
/// Per unit: what dimension it is of, and how many of that dimension's smallest.
const UNITS: [(&str, &str, f64); 7] = [
    ("", "bare", 1.0),
    ("MiB", "bytes", 1_048_576.0),
    ("kB", "bytes", 1_000.0),
    ("s", "time", 1e9),
    ("m", "time", 60e9),
    ("%", "share", 1.0),
    ("kbs", "kbs", 1.0),
];

fn number() -> impl Strategy<Value = f64> {
    prop_oneof![
        4 => (-20..20_i32).prop_map(f64::from),
        1 => -1e4..1e4_f64,
        1 => any::<f64>().prop_filter("finite", |value| value.is_finite()),
    ]
}

/// Mostly bare, so that not every condition fails for its units.
fn unit() -> impl Strategy<Value = &'static str> {
    prop_oneof![6 => Just(""), 1 => prop::sample::select(&UNITS[..]).prop_map(|unit| unit.0)]
}

fn side() -> impl Strategy<Value = Side> {
    prop_oneof![
        3 => prop::sample::select(&NAMES[..]).prop_map(Side::Metric),
        3 => (number(), unit()).prop_map(|(value, unit)| Side::Number(value, unit)),
    ]
}

fn comparison() -> impl Strategy<Value = Node> {
    let any_operator = prop::sample::select(vec!["==", "!=", "<", "<=", ">", ">="]);
    let of_values = (side(), any_operator, side()).prop_map(|(a, op, b)| Node::Compare(a, op, b));
    let equality = prop::sample::select(vec!["==", "!="]);
    let of_nil = (side(), equality, any::<bool>()).prop_map(|(side, op, swap)| {
        if swap { Node::Compare(Side::Nil, op, side) } else { Node::Compare(side, op, Side::Nil) }
    });
    prop_oneof![4 => of_values, 1 => of_nil]
}

fn node() -> impl Strategy<Value = Node> {
    comparison().prop_recursive(5, 40, 5, |inner| {
        prop_oneof![
            inner.clone().prop_map(|node| Node::Not(Box::new(node))),
            prop::collection::vec(inner.clone(), 2..5).prop_map(Node::And),
            prop::collection::vec(inner, 2..5).prop_map(Node::Or),
        ]
    })
}

type Values = BTreeMap<&'static str, (f64, &'static str)>;

fn values() -> impl Strategy<Value = Values> {
    prop::collection::btree_map(prop::sample::select(&NAMES[..]), (number(), unit()), 0..5)
}

impl Side {
    fn text(&self) -> String {
        match self {
            Self::Number(value, unit) => format!("{value:e}{unit}"),
            Self::Metric(name) => (*name).to_owned(),
            Self::Nil => "nil".to_owned(),
        }
    }

    fn value(&self, values: &Values) -> Option<(f64, &'static str)> {
        match self {
            Self::Number(value, unit) => Some((*value, *unit)),
            Self::Metric(name) => values.get(name).copied(),
            Self::Nil => None,
        }
    }
}

impl Node {
    /// Writes every bracket there can be.
    fn text(&self) -> String {
        let join = |nodes: &[Self], sign: &str| {
            let texts: Vec<String> =
                nodes.iter().map(|node| format!("({})", node.text())).collect();
            texts.join(sign)
        };
        match self {
            Self::Compare(a, op, b) => format!("{}{op}{}", a.text(), b.text()),
            Self::Not(node) => format!("!({})", node.text()),
            Self::And(nodes) => join(nodes, " && "),
            Self::Or(nodes) => join(nodes, "||"),
        }
    }

    /// Comes to 1, 0 or, for unknown, a half; `None` for units that do not fit.
    fn naive(&self, values: &Values) -> Option<f64> {
        match self {
            Self::Compare(a, op, b) => {
                let (left, right) = (a.value(values), b.value(values));
                if matches!(a, Side::Nil) || matches!(b, Side::Nil) {
                    let equal = left.is_none() && right.is_none();
                    return Some(f64::from(equal == (*op == "==")));
                }
                let (Some((a, a_unit)), Some((b, b_unit))) = (left, right) else {
                    return Some(0.5);
                };
                let find = |unit: &str| UNITS.iter().find(|known| known.0 == unit);
                let (a_unit, b_unit) = (find(a_unit)?, find(b_unit)?);
                let (a, b) = if a_unit.1 == "bare" || b_unit.1 == "bare" || a_unit.0 == b_unit.0 {
                    (a, b)
                } else if a_unit.1 == b_unit.1 {
                    (a * a_unit.2, b * b_unit.2)
                } else {
                    return None;
                };
                Some(f64::from(match *op {
                    "==" => a == b,
                    "!=" => a != b,
                    "<" => a < b,
                    "<=" => a <= b,
                    ">" => a > b,
                    _ => a >= b,
                }))
            }
            Self::Not(node) => node.naive(values).map(|truth| 1.0 - truth),
            Self::And(nodes) => {
                nodes.iter().try_fold(1.0, |truth, node| Some(node.naive(values)?.min(truth)))
            }
            Self::Or(nodes) => {
                nodes.iter().try_fold(0.0, |truth, node| Some(node.naive(values)?.max(truth)))
            }
        }
    }
}

fn metrics(values: &Values) -> Metrics {
    let mut metrics = Metrics::default();
    for (name, (value, unit)) in values {
        metrics.post(name, *value, unit);
    }
    metrics
}

fn truth(text: &str, metrics: &Metrics) -> Option<Truth> {
    parse(text).evaluate(metrics).ok()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn a_naive_evaluator_agrees(node in node(), values in values()) {
        let expected = node.naive(&values).map(|truth| match truth {
            0.0 => Truth::False,
            1.0 => Truth::True,
            _ => Truth::Unknown,
        });
        prop_assert_eq!(truth(&node.text(), &metrics(&values)), expected, "{}", node.text());
    }

    #[test]
    fn a_condition_parses_back_as_written(node in node()) {
        let condition = parse(&node.text());
        let written = condition.to_string();
        prop_assert_eq!(&parse(&written), &condition, "{}", written);
        prop_assert_eq!(parse(&written).to_string(), written);
    }

    #[test]
    fn any_duration_parses_back_as_written(count in 1_u64..31_622_400_000_000, scale in 0..13_u32) {
        let micros = (count / 10_u64.pow(scale)).max(1_000);
        let text = format!("avg(x, {}ms) > 3 for {}s", micros as f64 / 1e3, micros as f64 / 1e6);
        let condition = parse(&text);
        prop_assert_eq!(condition.hold().map(|hold| hold.as_micros()), Some(u128::from(micros)));
        prop_assert_eq!(parse(&condition.to_string()), condition);
    }

    #[test]
    fn explaining_never_panics(node in node(), values in values()) {
        prop_assert!(!parse(&node.text()).explain(&metrics(&values)).is_empty());
    }

    #[test]
    fn the_laws_of_kleene_hold(a in node(), b in node(), c in node(), values in values()) {
        let metrics = metrics(&values);
        let (a, b, c) = (a.text(), b.text(), c.text());
        let same = |left: String, right: String| {
            (truth(&left, &metrics) == truth(&right, &metrics)).then_some(()).ok_or_else(|| {
                TestCaseError::fail(format!("{left}  differs from  {right}"))
            })
        };
        same(format!("({a}) && ({b})"), format!("({b}) && ({a})"))?;
        same(format!("({a}) || ({b})"), format!("({b}) || ({a})"))?;
        same(format!("(({a}) && ({b})) && ({c})"), format!("({a}) && (({b}) && ({c}))"))?;
        same(format!("(({a}) || ({b})) || ({c})"), format!("({a}) || (({b}) || ({c}))"))?;
        same(format!("!(({a}) && ({b}))"), format!("!({a}) || !({b})"))?;
        same(format!("!(({a}) || ({b}))"), format!("!({a}) && !({b})"))?;
        same(
            format!("({a}) && (({b}) || ({c}))"),
            format!("({a}) && ({b}) || ({a}) && ({c})"),
        )?;
        same(
            format!("({a}) || ({b}) && ({c})"),
            format!("(({a}) || ({b})) && (({a}) || ({c}))"),
        )?;
        same(format!("!(!({a}))"), a.clone())?;
        same(format!("({a}) && ({a})"), a.clone())?;
        same(format!("({a}) || ({a})"), a)?;
    }
}

#[test]
fn equal_conditions_are_equal_and_others_are_not() {
    assert_eq!(Condition::parse("x<3"), Condition::parse(" (x < 3) "));
    assert_ne!(Condition::parse("x<3"), Condition::parse("x<3%"));
    assert_ne!(Condition::parse("x<3"), Condition::parse("x<3 for 1s"));
    assert_ne!(Condition::parse("x<3"), Condition::parse("y<3"));
}
