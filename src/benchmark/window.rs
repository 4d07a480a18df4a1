// SPDX-License-Identifier: Apache-2.0
//! What is done in a window: whole runs of a command, and units counted in their output.
//!
//! Pure: bytes and times in, counts out; the processes are `commands::bench::window`'s.
//! The output is any bytes, in lines of any length: a line ends with a line feed or a
//! carriage return (progress bars use that), and of a long one only the beginning is
//! looked at.

mod lines;
mod pattern;
pub mod quality;
mod report;

use std::time::Duration;

use super::record::QualityTarget;
use crate::jobs::marks::Count;
use lines::Lines;

pub use pattern::Pattern;
pub use report::{EndedBy, ExitReport, QualityReport, WindowReport};

/// How units are counted.
#[derive(Clone, Debug)]
pub enum Counting {
    /// The command marks them by itself: nothing is counted here.
    Mark,
    /// Each run that ends with 0 is one.
    Exit,
    /// Matches of a pattern in the output.
    Pattern(Pattern),
    /// Each run that reaches a quality is one; the pattern tells the metric.
    Quality(QualityTarget, Pattern),
}

impl Counting {
    /// Whether the command's output has to be read.
    pub const fn reads_output(&self) -> bool {
        matches!(self, Counting::Pattern(_) | Counting::Quality(..))
    }
}

/// Which of the command's outputs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stream {
    /// Standard output.
    Output,
    /// Standard error.
    Error,
}

/// Counts in one run.
#[derive(Clone, Debug)]
pub struct RunTally<'a> {
    counting: &'a Counting,
    lines: [Lines; 2],
    found: Found,
}

/// What was found in the output of a run.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Found {
    /// Units, by pattern.
    pub units: Count,
    /// When the quality was reached, from the run's start.
    pub reached: Option<Duration>,
    /// The metric as it was told last.
    pub metric: Option<f64>,
    /// Matches whose group was no number.
    pub unreadable: u64,
    /// Lines of which only the beginning was looked at.
    pub cut: u64,
}

impl<'a> RunTally<'a> {
    /// Before the run's first byte.
    pub fn new(counting: &'a Counting) -> RunTally<'a> {
        RunTally { counting, lines: Default::default(), found: Found::default() }
    }

    /// Takes bytes that came so long after the run's start.
    pub fn take(&mut self, stream: Stream, bytes: &[u8], after: Duration) {
        let (counting, found) = (self.counting, &mut self.found);
        self.lines[stream as usize].take(bytes, &mut |line| look(counting, line, after, found));
    }

    /// The run has ended: what is left of a last line counts as one.
    pub fn end(mut self, after: Duration) -> Found {
        for lines in &mut self.lines {
            lines.end(&mut |line| look(self.counting, line, after, &mut self.found));
        }
        self.found()
    }

    /// What was found so far.
    pub fn found(&self) -> Found {
        let cut = self.lines.iter().map(Lines::cut).sum();
        Found { cut, ..self.found }
    }
}

/// Looks at one line.
fn look(counting: &Counting, line: &[u8], after: Duration, found: &mut Found) {
    match counting {
        Counting::Mark | Counting::Exit => {}
        Counting::Pattern(pattern) => {
            for count in pattern.counts(line) {
                match count {
                    Some(count) => found.units = found.units.saturating_add(count),
                    None => found.unreadable += 1,
                }
            }
        }
        Counting::Quality(target, pattern) => {
            for value in pattern.values(line) {
                match value {
                    Some(value) => {
                        found.metric = Some(value);
                        if found.reached.is_none() && quality::is_reached(target, value) {
                            found.reached = Some(after);
                        }
                    }
                    None => found.unreadable += 1,
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn by(pattern: &str) -> Counting {
        Counting::Pattern(Pattern::compile(pattern).unwrap())
    }

    fn found(counting: &Counting, pieces: &[(Stream, &[u8])]) -> Found {
        let mut tally = RunTally::new(counting);
        for (second, (stream, bytes)) in pieces.iter().enumerate() {
            tally.take(*stream, bytes, Duration::from_secs(second as u64));
        }
        tally.end(Duration::from_secs(pieces.len() as u64))
    }

    #[test]
    fn matches_are_counted_across_pieces_and_in_both_streams() {
        use Stream::{Error, Output};
        let counting = by(r"done (?<count>\S+)");
        let pieces: [(Stream, &[u8]); 6] = [
            (Output, b"done 2\ndo"),
            (Error, b"done 30\rdone 400\r\n"),
            (Output, b"ne 0.5 \xff\xfe done 1e3\n"),
            (Output, b"done x\ndone -1\n"),
            (Error, b"done 50"),
            (Error, b"00"),
        ];
        let found = found(&counting, &pieces);
        assert_eq!(found.units, Count::from_thousandths(6_432_500));
        assert_eq!((found.unreadable, found.cut), (2, 0));
    }

    #[test]
    fn a_match_without_a_count_is_one() {
        let counting = by("(?:step|batch of (?<count>[0-9]+))");
        let found = found(&counting, &[(Stream::Output, b"step step\nbatch of 5, step\n")]);
        assert_eq!(found.units, Count::from_thousandths(8_000));
    }

    #[test]
    fn the_first_reach_of_a_quality_is_kept() {
        let target = quality::target("accuracy>=0.9").unwrap();
        let pattern = quality::pattern_for(&target.metric);
        let counting = Counting::Quality(target, pattern);
        let pieces: [(Stream, &[u8]); 5] = [
            (Stream::Output, b"epoch 1 accuracy 0.5\n"),
            (Stream::Output, b"epoch 2 accuracy nan\nepoch 3 accuracy: 0.9"),
            (Stream::Output, b"25\n"),
            (Stream::Error, b"accuracy=0.99\n"),
            (Stream::Error, b"accuracy=0.7\n"),
        ];
        let found = found(&counting, &pieces);
        assert_eq!(found.reached, Some(Duration::from_secs(2)));
        assert_eq!((found.metric, found.units), (Some(0.7), Count::default()));
    }
}
