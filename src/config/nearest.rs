// SPDX-License-Identifier: Apache-2.0
//! What was probably meant by a misspelt word.

/// The candidate that was most likely meant by a misspelt word, if one is near:
/// at most two edits, and fewer than half of the word.
pub fn nearest<'a>(word: &str, candidates: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    candidates
        .map(|candidate| (edits(word, candidate), candidate))
        .filter(|(edits, candidate)| *edits <= 2 && edits * 2 < candidate.len())
        .min()
        .map(|(_, candidate)| candidate)
}

/// The Levenshtein distance of two words, in bytes.
fn edits(from: &str, to: &str) -> usize {
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (i, a) in from.bytes().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, b) in to.bytes().enumerate() {
            let substitute = diagonal + usize::from(a != b);
            diagonal = row[j + 1];
            row[j + 1] = substitute.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[to.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_near_miss_finds_its_key_and_a_far_one_does_not() {
        let names = || super::super::keys::KEYS.iter().map(|key| key.name);
        assert_eq!(nearest("sokcet", names()), Some("socket"));
        assert_eq!(nearest("periode", names()), Some("period"));
        assert_eq!(nearest("colour", names()), None);
        assert_eq!(edits("kitten", "sitting"), 3);
    }
}
