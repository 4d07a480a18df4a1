// SPDX-License-Identifier: Apache-2.0
//! The last minutes' power as one line of text: a column is the mean of some seconds.
//!
//! Columns begin at whole multiples of their seconds, so that a figure never moves from
//! one to another while the line runs on.

use std::collections::VecDeque;

/// What a line shows at least, in seconds.
pub const SPAN: i64 = 180;
/// Samples that are kept of a line.
const KEPT: usize = 3_600;

const BLOCKS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
const LETTERS: [char; 8] = ['_', '.', ',', '-', '~', '=', '*', '#'];

/// The power of one thing over time.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Line {
    /// Seconds since 1970 UTC and watts, oldest first.
    samples: VecDeque<(i64, f64)>,
}

impl Line {
    /// Adds a figure.
    pub fn add(&mut self, second: i64, watts: f64) {
        if self.samples.len() == KEPT {
            self.samples.pop_front();
        }
        self.samples.push_back((second, watts));
    }

    /// The line in `width` columns, `now` at the right; a time without a figure is blank.
    /// The top is the largest column shown.
    pub fn text(&self, now: i64, width: usize, unicode: bool) -> String {
        let columns = self.columns(now, width);
        let top = columns.iter().flatten().fold(0.0_f64, |top, watts| top.max(*watts));
        let signs = if unicode { BLOCKS } else { LETTERS };
        let sign = |watts: &Option<f64>| match watts {
            None => ' ',
            Some(_) if top <= 0.0 => signs[0],
            Some(watts) => signs[((watts / top * 8.0).ceil() as usize).clamp(1, 8) - 1],
        };
        columns.iter().map(sign).collect()
    }

    fn columns(&self, now: i64, width: usize) -> Vec<Option<f64>> {
        let mut sums = vec![(0.0, 0_u32); width];
        let columns = i64::try_from(width).unwrap_or(i64::MAX).max(1);
        let step = (SPAN + columns - 1) / columns;
        let last = now.div_euclid(step);
        for (second, watts) in &self.samples {
            let back = last - second.div_euclid(step);
            if let Some(place) = usize::try_from(columns - 1 - back).ok()
                && let Some((sum, count)) = sums.get_mut(place)
            {
                *sum += watts;
                *count += 1;
            }
        }
        sums.into_iter().map(|(sum, count)| (count > 0).then(|| sum / f64::from(count))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(samples: &[(i64, f64)]) -> Line {
        let mut line = Line::default();
        samples.iter().for_each(|(second, watts)| line.add(*second, *watts));
        line
    }

    #[test]
    fn a_column_is_the_mean_of_its_seconds_and_a_gap_is_blank() {
        // 18 columns of 10 s: 1000 s to 1009 s is the last.
        let line = line(&[(970, 100.0), (990, 50.0), (991, 150.0), (1_000, 200.0)]);
        assert_eq!(line.text(1_005, 18, true), "              ▄ ▄█");
        assert_eq!(line.text(1_005, 18, false), "              - -#");
        // The same, a column further.
        assert_eq!(line.text(1_010, 18, true), "             ▄ ▄█ ");
    }

    #[test]
    fn nothing_used_is_a_low_line_and_no_width_is_no_line() {
        assert_eq!(line(&[(0, 0.0), (179, 0.0)]).text(179, 2, true), "▁▁");
        assert_eq!(line(&[(0, 1.0)]).text(0, 0, true), "");
        assert_eq!(Line::default().text(5, 3, true), "   ");
    }

    #[test]
    fn old_samples_are_forgotten() {
        let mut line = Line::default();
        (0..10_000).for_each(|second| line.add(second, 1.0));
        assert_eq!(line.samples.len(), KEPT);
    }
}
