// SPDX-License-Identifier: Apache-2.0
//! A quality that a run is to reach: `accuracy>=0.9`.

use super::Pattern;
use crate::benchmark::record::QualityTarget;

/// Reads `METRIC>=X` or `METRIC<=X`.
///
/// # Errors
/// How it is written.
pub fn target(text: &str) -> Result<QualityTarget, String> {
    let parts = [(">=", true), ("<=", false)].into_iter().find_map(|(sign, larger)| {
        text.split_once(sign).map(|(metric, threshold)| (metric.trim(), threshold, larger))
    });
    let how = || format!("`{text}` is no quality: write METRIC>=X or METRIC<=X");
    let (metric, threshold, larger_is_better) = parts.ok_or_else(how)?;
    let threshold = threshold.trim().parse().map_err(|_| how())?;
    if metric.is_empty() || !f64::is_finite(threshold) {
        return Err(how());
    }
    Ok(QualityTarget { metric: metric.to_owned(), threshold, larger_is_better })
}

/// The pattern for a metric that has none of its own: `accuracy 0.9`, `accuracy: 0.9`,
/// `accuracy=0.9`, `'accuracy': 0.9`.
pub fn pattern_for(metric: &str) -> Pattern {
    const NUMBER: &str = r"[-+]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]+)?";
    let metric = regex::escape(metric);
    let text = format!(r#"(?:^|[^A-Za-z0-9_]){metric}["']?[ \t]*[:=]?[ \t]*(?<value>{NUMBER})"#);
    // An escaped name in a fixed pattern is a pattern, unless it is beyond all size.
    Pattern::compile(&text).unwrap_or_else(|_| pattern_for(""))
}

/// Whether this value is good enough; what is no number never is.
pub fn is_reached(target: &QualityTarget, value: f64) -> bool {
    if target.larger_is_better { value >= target.threshold } else { value <= target.threshold }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_are_read_in_both_directions() {
        let accuracy = target("accuracy>=0.75").unwrap();
        assert!(is_reached(&accuracy, 0.75) && !is_reached(&accuracy, 0.7499));
        let loss = target(" eval_loss <= 1e-2").unwrap();
        assert_eq!((loss.metric.as_str(), loss.larger_is_better), ("eval_loss", false));
        assert!(is_reached(&loss, 0.01) && !is_reached(&loss, 0.011));
        assert!(!is_reached(&loss, f64::NAN) && !is_reached(&accuracy, f64::NAN));
        for bad in ["accuracy", "accuracy>0.9", ">=1", "a>=", "a>=x", "a>=inf"] {
            assert!(target(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_metric_is_found_as_programs_write_it() {
        let value =
            |metric: &str, line: &str| pattern_for(metric).values(line.as_bytes()).last().flatten();
        for line in ["accuracy 0.5", "x=1 accuracy=0.5,", "{'accuracy': 0.5}", "\"accuracy\":5e-1"]
        {
            assert_eq!(value("accuracy", line), Some(0.5), "{line}");
        }
        assert_eq!(value("accuracy", "eval_accuracy 0.5"), None);
        assert_eq!(value("accuracy", "accuracy of 3"), None);
        assert_eq!(value("a.c", "abc 1"), None);
        assert_eq!(value("loss", "loss -.25"), Some(-0.25));
    }
}
