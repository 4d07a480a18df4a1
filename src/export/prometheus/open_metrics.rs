// SPDX-License-Identifier: Apache-2.0
//! OpenMetrics 1.0 text, written from the families that the text format is
//! written from, since the crate `prometheus` does not write it.
//!
//! The differences: a counter's family has no `_total` and an info's no `_info`,
//! a unit is told, quotes in help are escaped, `# EOF` ends the page. No
//! `_created` lines: they are optional, and Prometheus 2 keeps each as a series.

use std::fmt::Write;

use ::prometheus::proto::{LabelPair, MetricFamily, MetricType};

/// Units that a family's name may end in.
const UNITS: [&str; 4] = ["joules", "watts", "grams", "seconds"];

/// The page.
pub fn page(families: &[MetricFamily]) -> String {
    let mut page = String::new();
    for family in families {
        self::family(family, &mut page);
    }
    page.push_str("# EOF\n");
    page
}

fn family(family: &MetricFamily, page: &mut String) {
    let full = family.name();
    let (name, kind) = match family.get_field_type() {
        MetricType::COUNTER => (full.strip_suffix("_total").unwrap_or(full), "counter"),
        _ => full.strip_suffix("_info").map_or((full, "gauge"), |name| (name, "info")),
    };
    // Writing into a `String` cannot fail.
    _ = writeln!(page, "# TYPE {name} {kind}");
    if let Some(unit) = UNITS.iter().find(|unit| is_of_unit(name, unit)) {
        _ = writeln!(page, "# UNIT {name} {unit}");
    }
    _ = writeln!(page, "# HELP {name} {}", escaped(family.help()));
    for metric in family.get_metric() {
        page.push_str(full);
        labels(metric.get_label(), page);
        let value = match kind {
            "counter" => metric.get_counter().get_value(),
            _ => metric.get_gauge().get_value(),
        };
        _ = writeln!(page, " {}", number(value));
    }
}

fn is_of_unit(name: &str, unit: &str) -> bool {
    name.strip_suffix(unit).is_some_and(|rest| rest.ends_with('_'))
}

fn labels(labels: &[LabelPair], page: &mut String) {
    for (place, label) in labels.iter().enumerate() {
        let before = if place == 0 { '{' } else { ',' };
        _ = write!(page, "{before}{}=\"{}\"", label.name(), escaped(label.value()));
    }
    if !labels.is_empty() {
        page.push('}');
    }
}

fn number(value: f64) -> String {
    match value {
        value if value.is_nan() => "NaN".into(),
        f64::INFINITY => "+Inf".into(),
        f64::NEG_INFINITY => "-Inf".into(),
        value => value.to_string(),
    }
}

fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('\n', "\\n").replace('"', "\\\"")
}

#[cfg(test)]
mod tests {
    use ::prometheus::proto::{Counter, Metric};

    use super::*;

    #[test]
    fn names_units_and_escapes_are_as_the_specification_says() {
        let mut label = LabelPair::default();
        label.set_name("name".into());
        label.set_value("a\\b\"c\nd".into());
        let mut metric = Metric::from_label(vec![label]);
        let mut counter = Counter::default();
        counter.set_value(1.000001);
        metric.set_counter(counter);
        let mut joules = MetricFamily::default();
        joules.set_name("x_joules_total".into());
        joules.set_help("says \"y\" \\".into());
        joules.set_field_type(MetricType::COUNTER);
        joules.mut_metric().push(metric);
        let mut info = MetricFamily::default();
        info.set_name("x_info".into());
        info.set_field_type(MetricType::GAUGE);
        info.mut_metric().push(Metric::from_label(vec![]));
        assert_eq!(
            page(&[joules, info]),
            "# TYPE x_joules counter\n# UNIT x_joules joules\n# HELP x_joules says \\\"y\\\" \\\\\n\
             x_joules_total{name=\"a\\\\b\\\"c\\nd\"} 1.000001\n\
             # TYPE x info\n# HELP x \nx_info 0\n# EOF\n"
        );
        assert_eq!([f64::NAN, f64::NEG_INFINITY].map(number), ["NaN", "-Inf"]);
    }
}
