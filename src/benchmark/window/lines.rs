// SPDX-License-Identifier: Apache-2.0
//! Bytes to lines, in bounded memory.

/// Bytes of a line that are looked at.
const LONGEST: usize = 64 * 1_024;

/// The line that is under way.
#[derive(Clone, Debug, Default)]
pub(super) struct Lines {
    line: Vec<u8>,
    /// Whether bytes of it were left out.
    long: bool,
    cut: u64,
}

impl Lines {
    /// Takes bytes; `line` hears of each line that they end, without its end.
    pub(super) fn take(&mut self, bytes: &[u8], line: &mut dyn FnMut(&[u8])) {
        let mut pieces = bytes.split(|byte| matches!(byte, b'\n' | b'\r'));
        // There is always a first piece.
        self.add(pieces.next().unwrap_or_default());
        for piece in pieces {
            self.end(line);
            self.add(piece);
        }
    }

    /// Ends the line.
    pub(super) fn end(&mut self, line: &mut dyn FnMut(&[u8])) {
        if !self.line.is_empty() {
            line(&self.line);
        }
        self.cut += u64::from(self.long);
        self.line.clear();
        self.long = false;
    }

    /// How many lines were cut.
    pub(super) const fn cut(&self) -> u64 {
        self.cut
    }

    fn add(&mut self, piece: &[u8]) {
        let room = LONGEST - self.line.len();
        self.long |= piece.len() > room;
        self.line.extend_from_slice(&piece[..piece.len().min(room)]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_bounded_and_the_next_line_is_whole() {
        let mut lines = Lines::default();
        let mut heard = Vec::new();
        let mut hear = |line: &[u8]| heard.push((line.len(), line.first().copied()));
        for _ in 0..100 {
            lines.take(&[b'a'; 1_000], &mut hear);
        }
        assert!(lines.line.capacity() <= 2 * LONGEST);
        lines.take(b"b\nc\n\n\rd", &mut hear);
        lines.end(&mut hear);
        assert_eq!(heard, [(LONGEST, Some(b'a')), (1, Some(b'c')), (1, Some(b'd'))]);
        assert_eq!(lines.cut(), 1);
    }
}
