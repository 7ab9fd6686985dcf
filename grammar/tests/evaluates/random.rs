//! Random conditions: against a second, naive evaluator, and against the laws of Kleene's logic.

use std::collections::BTreeMap;

use grammar::{Condition, LocalTime, Truth, Weekday};
use proptest::prelude::*;

use crate::{Metrics, parse, secs};

/// A condition as the test sees it; it knows nothing of the crate's own tree.
#[derive(Clone, Debug)]
pub(crate) enum Node {
    Compare(Side, &'static str, Side),
    /// A text, and whether it is so on Friday at 23:14.
    Calendar(&'static str, bool),
    Not(Box<Node>),
    And(Vec<Node>),
    Or(Vec<Node>),
}

#[derive(Clone, Debug)]
pub(crate) enum Side {
    Number(f64, &'static str),
    Metric(&'static str),
    Calc(Box<Side>, char, Box<Side>),
    Nil,
}

/// A number, its unit, and whether it is the author's own.
#[derive(Clone, Copy, Debug)]
struct Value {
    number: f64,
    unit: &'static str,
    is_constant: bool,
}

/// Units that do not fit.
#[derive(Clone, Copy, Debug)]
struct Misfit;

const CALENDARS: [(&str, bool); 5] = [
    ("on fri", true),
    ("on sat-thu", false),
    ("between 22:00 and 06:00", true),
    ("on fri between 6:00 and 23:14", false),
    ("on thu between 23:16 and 23:15", true),
];

const NAMES: [&str; 5] = ["a", "b", "c.d", "_e", "nilly"];
/// Per unit: what dimension it is of, and how many of that dimension's smallest.
const UNITS: [(&str, &str, f64); 8] = [
    ("", "bare", 1.0),
    ("MiB", "bytes", 1_048_576.0),
    ("kB", "bytes", 1_000.0),
    ("s", "time", 1e9),
    ("m", "time", 60e9),
    ("%", "share", 1.0),
    ("ratio", "share", 100.0),
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
    prop_oneof![6 => Just(""), 1 => prop::sample::select(&UNITS[..]).prop_map(|unit| match unit.0 {
        "ratio" => "",
        unit => unit,
    })]
}

fn side() -> impl Strategy<Value = Side> {
    let value = prop_oneof![
        3 => prop::sample::select(&NAMES[..]).prop_map(Side::Metric),
        3 => (number(), unit()).prop_map(|(value, unit)| Side::Number(value, unit)),
    ];
    let calculated = value.clone().prop_recursive(3, 8, 2, |inner| {
        (inner.clone(), prop::sample::select(vec!['+', '-', '*', '/']), inner)
            .prop_map(|(a, sign, b)| Side::Calc(Box::new(a), sign, Box::new(b)))
    });
    prop_oneof![3 => value, 2 => calculated]
}

fn comparison() -> impl Strategy<Value = Node> {
    let any_operator = prop::sample::select(vec!["==", "!=", "<", "<=", ">", ">="]);
    let of_values = (side(), any_operator, side()).prop_map(|(a, op, b)| Node::Compare(a, op, b));
    let equality = prop::sample::select(vec!["==", "!="]);
    let of_nil = (side(), equality, any::<bool>()).prop_map(|(side, op, swap)| {
        if swap { Node::Compare(Side::Nil, op, side) } else { Node::Compare(side, op, Side::Nil) }
    });
    let calendar =
        prop::sample::select(&CALENDARS[..]).prop_map(|(text, truth)| Node::Calendar(text, truth));
    prop_oneof![8 => of_values, 2 => of_nil, 1 => calendar]
}

pub(crate) fn node() -> impl Strategy<Value = Node> {
    comparison().prop_recursive(5, 40, 5, |inner| {
        prop_oneof![
            inner.clone().prop_map(|node| Node::Not(Box::new(node))),
            prop::collection::vec(inner.clone(), 2..5).prop_map(Node::And),
            prop::collection::vec(inner, 2..5).prop_map(Node::Or),
        ]
    })
}

pub(crate) type Values = BTreeMap<&'static str, (f64, &'static str)>;

pub(crate) fn values() -> impl Strategy<Value = Values> {
    prop::collection::btree_map(prop::sample::select(&NAMES[..]), (number(), unit()), 0..5)
}

impl Side {
    fn text(&self) -> String {
        match self {
            Self::Number(value, unit) => format!("{value:e}{unit}"),
            Self::Metric(name) => (*name).to_owned(),
            Self::Calc(a, sign, b) => format!("({} {sign} {})", a.text(), b.text()),
            Self::Nil => "nil".to_owned(),
        }
    }

    fn value(&self, values: &Values) -> Result<Option<Value>, Misfit> {
        Ok(match self {
            Self::Number(number, unit) => {
                Some(Value { number: *number, unit, is_constant: unit.is_empty() })
            }
            Self::Metric(name) => values.get(name).map(|(number, unit)| Value {
                number: *number,
                unit,
                is_constant: false,
            }),
            Self::Calc(a, sign, b) => match (a.value(values)?, b.value(values)?) {
                (Some(a), Some(b)) => {
                    let result = calculated(a, *sign, b)?;
                    (*sign != '/' || b.number != 0.0).then_some(result)
                }
                (None, _) | (_, None) => None,
            },
            Self::Nil => None,
        })
    }
}

fn known(unit: &str) -> (&'static str, &'static str, f64) {
    *UNITS.iter().find(|known| known.0 == unit).expect("a unit")
}

/// The table of docs/profiles.md, row by row.
fn calculated(a: Value, sign: char, b: Value) -> Result<Value, Misfit> {
    let ((_, a_kind, a_size), (_, b_kind, b_size)) = (known(a.unit), known(b.unit));
    let of = |number: f64, unit: &'static str| Ok(Value { number, unit, is_constant: false });
    let part = |value: Value| match value.unit {
        "%" => value.number / 100.0,
        _ => value.number,
    };
    if sign == '+' || sign == '-' {
        let number = match (a.unit, b.unit) {
            ("", _) | (_, "") => b.number,
            (a, b_unit) if a == b_unit => b.number,
            _ if a_kind == b_kind => b.number * b_size / a_size,
            _ => return Err(Misfit),
        };
        let number = if sign == '+' { a.number + number } else { a.number - number };
        let unit = if a.unit.is_empty() { b.unit } else { a.unit };
        return Ok(Value { number, unit, is_constant: a.is_constant && b.is_constant });
    }
    let plain = if sign == '*' { a.number * b.number } else { a.number / b.number };
    let parts = if sign == '*' { part(a) * part(b) } else { part(a) / part(b) };
    if b.is_constant {
        return Ok(Value { number: plain, ..a });
    }
    match (sign, a_kind, b_kind) {
        ('*', _, _) if a.is_constant => of(plain, b.unit),
        ('*', "bare", "bare") => of(plain, ""),
        ('*', "share", "share" | "bare") | ('*', "bare", "share") => of(parts, "ratio"),
        ('*', "share" | "bare", _) => of(parts, b.unit),
        ('*', _, "share" | "bare") => of(parts, a.unit),
        ('/', "bare", "bare") if a.is_constant => of(plain, ""),
        ('/', "bare", "share") if a.is_constant => of(parts, "ratio"),
        ('/', "bare", "share") => of(parts, ""),
        ('/', "bare", _) if !a.is_constant => of(plain, "ratio"),
        ('/', "share", "share" | "bare") => of(parts, "ratio"),
        ('/', a_kind, "share" | "bare") if a_kind != "bare" => of(parts, a.unit),
        ('/', a_kind, b_kind) if a_kind == b_kind && a.unit == b.unit => of(plain, "ratio"),
        ('/', a_kind, b_kind) if a_kind == b_kind => {
            of((a.number * a_size) / (b.number * b_size), "ratio")
        }
        _ => Err(Misfit),
    }
}

impl Node {
    /// Writes every bracket there can be.
    pub(crate) fn text(&self) -> String {
        let join = |nodes: &[Self], sign: &str| {
            let texts: Vec<String> =
                nodes.iter().map(|node| format!("({})", node.text())).collect();
            texts.join(sign)
        };
        match self {
            Self::Compare(a, op, b) => format!("{}{op}{}", a.text(), b.text()),
            Self::Calendar(text, _) => (*text).to_owned(),
            Self::Not(node) => format!("!({})", node.text()),
            Self::And(nodes) => join(nodes, " && "),
            Self::Or(nodes) => join(nodes, "||"),
        }
    }

    /// Comes to 1, 0 or, for unknown, a half; `None` for units that do not fit.
    fn naive(&self, values: &Values) -> Option<f64> {
        match self {
            Self::Compare(a, op, b) => {
                let left = a.value(values).ok()?.filter(|value| !value.number.is_nan());
                let right = b.value(values).ok()?.filter(|value| !value.number.is_nan());
                if matches!(a, Side::Nil) || matches!(b, Side::Nil) {
                    let equal = left.is_none() && right.is_none();
                    return Some(f64::from(equal == (*op == "==")));
                }
                let (Some(left), Some(right)) = (left, right) else {
                    return Some(0.5);
                };
                let (a, b) = (left.number, right.number);
                let (a_unit, b_unit) = (known(left.unit), known(right.unit));
                let (a, b) = if a_unit.1 == "bare" || b_unit.1 == "bare" || a_unit.0 == b_unit.0 {
                    (a, b)
                } else if a_unit.0 == "ratio" && b_unit.0 == "%" {
                    (a, b / 100.0)
                } else if a_unit.0 == "%" && b_unit.0 == "ratio" {
                    (a / 100.0, b)
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
            Self::Calendar(_, truth) => Some(f64::from(u8::from(*truth))),
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

impl Node {
    /// Comes to what its parts come to, in the order of the text.
    fn combined(&self, parts: &mut impl Iterator<Item = f64>) -> Option<f64> {
        match self {
            Self::Compare(..) | Self::Calendar(..) => parts.next(),
            Self::Not(node) => node.combined(parts).map(|truth| 1.0 - truth),
            Self::And(nodes) => {
                nodes.iter().try_fold(1.0, |truth, node| Some(node.combined(parts)?.min(truth)))
            }
            Self::Or(nodes) => {
                nodes.iter().try_fold(0.0, |truth, node| Some(node.combined(parts)?.max(truth)))
            }
        }
    }

    /// The texts of what is true or not by itself.
    fn leaves(&self) -> Vec<String> {
        match self {
            Self::Compare(..) | Self::Calendar(..) => vec![self.text()],
            Self::Not(node) => node.leaves(),
            Self::And(nodes) | Self::Or(nodes) => nodes.iter().flat_map(Self::leaves).collect(),
        }
    }
}

/// What an explanation of a single comparison says that it comes to; `None` if the units do not fit.
fn said(text: &str, explanation: &str) -> Option<f64> {
    let rest = explanation.strip_prefix(&parse(text).to_string()).expect("the text comes first");
    match rest.strip_prefix(" is ")?.split(':').next()? {
        "true" => Some(1.0),
        "false" => Some(0.0),
        "unknown" => Some(0.5),
        other => panic!("{other}"),
    }
}

pub(crate) fn metrics(values: &Values) -> Metrics {
    let friday = LocalTime {
        weekday: Weekday::Friday,
        since_midnight: secs((23 * 60 + 14) * 60),
        even_for: secs(60),
    };
    let mut metrics = Metrics { local_time: Some(friday), ..Metrics::default() };
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

    /// What an explanation says of each part makes the verdict, and the whole says what the parts say.
    #[test]
    fn an_explanation_agrees_with_the_verdict(node in node(), values in values()) {
        let metrics = metrics(&values);
        let parts: Vec<(String, String)> = node
            .leaves()
            .into_iter()
            .map(|text| (parse(&text).explain(&metrics), text))
            .collect();
        let whole: Vec<&str> = parts.iter().map(|(explanation, _)| explanation.as_str()).collect();
        let explanation = parse(&node.text()).explain(&metrics);
        if parts.len() <= 16 && !explanation.ends_with('…') {
            prop_assert_eq!(explanation, whole.join("; "));
        }
        if let Ok(truth) = parse(&node.text()).evaluate(&metrics) {
            let mut truths = parts
                .iter()
                .map(|(explanation, text)| said(text, explanation).expect("the units fit"));
            let combined = node.combined(&mut truths);
            prop_assert_eq!(combined, Some(f64::from(truth as u8) / 2.0));
        } else {
            prop_assert!(parts.iter().any(|(explanation, text)| said(text, explanation).is_none()));
        }
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
