//! The same conditions in three languages, parsed once and evaluated against the same values.
//!
//! evalexpr and CEL know neither per cent nor nil, nor windows, thresholds with memory or a time of day;
//! where they can say the same, they do.

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use evalexpr::ContextWithMutableVariables;
use grammar::{Condition, Lookup, Metric, Reading, Truth};

struct Slots(Vec<f64>);

impl Lookup for Slots {
    fn reading(&self, metric: &Metric) -> Option<Reading<'_>> {
        let value = *self.0.get(metric.slot() as usize)?;
        Some(Reading { value, unit: None })
    }
}

fn conditions() -> [(&'static str, String); 4] {
    let fifty: Vec<String> = (0..25)
        .map(|index| format!("m{index} > {index}.5 && m{index} < 15.0"))
        .collect();
    [
        ("one", "m0 > 23.0".to_owned()),
        ("two", "m0 < 5.0 || m0 > 40.0".to_owned()),
        ("calculation", "(m0 - m1 / 2.0) * 3.0 > 40.0".to_owned()),
        ("fifty", fifty.join(" || ")),
    ]
}

fn parse(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("parse");
    for (name, text) in conditions() {
        group.bench_function(BenchmarkId::new("ours", name), |bencher| {
            bencher.iter(|| Condition::parse(black_box(&text)).unwrap());
        });
        group.bench_function(BenchmarkId::new("evalexpr", name), |bencher| {
            bencher.iter(|| evalexpr::build_operator_tree(black_box(&text)).unwrap());
        });
        group.bench_function(BenchmarkId::new("cel", name), |bencher| {
            bencher.iter(|| cel_interpreter::Program::compile(black_box(&text)).unwrap());
        });
    }
    group.finish();
}

fn evaluate(criterion: &mut Criterion) {
    const VALUE: f64 = 20.0;
    let slots = Slots(vec![VALUE; 25]);
    let mut of_evalexpr = evalexpr::HashMapContext::new();
    let mut of_cel = cel_interpreter::Context::default();
    for index in 0..25 {
        let name = format!("m{index}");
        of_evalexpr
            .set_value(name.clone(), evalexpr::Value::Float(VALUE))
            .unwrap();
        of_cel.add_variable(name, VALUE).unwrap();
    }
    let mut group = criterion.benchmark_group("evaluate");
    for (name, text) in conditions() {
        let ours = Condition::parse(&text).unwrap();
        let theirs = evalexpr::build_operator_tree(&text).unwrap();
        let cel = cel_interpreter::Program::compile(&text).unwrap();
        let expected = ours.evaluate(&slots).unwrap() == Truth::True;
        assert_eq!(theirs.eval_boolean_with_context(&of_evalexpr), Ok(expected));
        assert_eq!(cel.execute(&of_cel), Ok(expected.into()));
        group.bench_function(BenchmarkId::new("ours", name), |bencher| {
            bencher.iter(|| black_box(&ours).evaluate(black_box(&slots)).is_ok());
        });
        group.bench_function(BenchmarkId::new("evalexpr", name), |bencher| {
            bencher.iter(|| theirs.eval_boolean_with_context(black_box(&of_evalexpr)));
        });
        group.bench_function(BenchmarkId::new("cel", name), |bencher| {
            bencher.iter(|| cel.execute(black_box(&of_cel)));
        });
    }
    group.finish();
}

criterion_group!(benches, parse, evaluate);
criterion_main!(benches);
