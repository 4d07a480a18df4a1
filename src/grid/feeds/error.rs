// SPDX-License-Identifier: Apache-2.0
//! Why a feed gave no figure: in its own words where it has some, cut and without
//! control characters. No error holds an address or a key.

use std::time::Duration;

use crate::grid::secret::Secret;

/// Why there is no figure.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FeedError {
    /// It knows nothing of this place.
    #[error("it does not cover {zone}{hint}")]
    NotCovered {
        /// The place.
        zone: String,
        /// What to do, if anything.
        hint: &'static str,
    },
    /// It has no such figures.
    #[error("it has no {0}")]
    Unsupported(&'static str),
    /// The configuration lacks something.
    #[error("`{0}` is not set for it in [[grid.feeds]]")]
    Unset(&'static str),
    /// The key cannot be read.
    #[error("{0}")]
    Secret(String),
    /// It does not let us in.
    #[error("its login: {0}")]
    Login(Box<FeedError>),
    /// Nothing came, or not all of it.
    #[error("{0}")]
    Transport(String),
    /// The answer is larger than any honest one.
    #[error("its answer is larger than {0} bytes")]
    TooLarge(usize),
    /// It sends us elsewhere.
    #[error("it redirects {0}, which is not followed")]
    Redirected(String),
    /// It answered no, in its own words.
    #[error("it answered {status}{}{}", text_of(.words), wait_of(.retry_after))]
    Refused {
        /// HTTP status.
        status: u16,
        /// Its words, cut and without control characters.
        words: String,
        /// When it wants to be asked again.
        retry_after: Option<Duration>,
    },
    /// The answer has another shape than documented.
    #[error("its answer is not understood: {0}")]
    NotUnderstood(String),
    /// The answer is about another place or another quantity than asked for.
    #[error("asked for {asked}, it answered for {answered}")]
    Other {
        /// What was asked.
        asked: String,
        /// What came.
        answered: String,
    },
    /// The figure cannot be true.
    #[error("its figure is not plausible: {0}")]
    Implausible(String),
    /// The newest figure is too old.
    #[error("its newest figure ended {0} ago")]
    Stale(String),
    /// It answered well, with no figure.
    #[error("its answer holds no figure")]
    Nothing,
}

impl FeedError {
    /// Whether the words are the provider's own.
    pub fn is_providers_word(&self) -> bool {
        match self {
            FeedError::Refused { .. } => true,
            FeedError::Login(why) => why.is_providers_word(),
            _ => false,
        }
    }

    /// Without a secret: an answer may repeat what its server was sent.
    pub fn without(self, secret: &Secret) -> FeedError {
        let clean = |text: String| secret.removed_from(&text);
        match self {
            FeedError::NotUnderstood(what) => FeedError::NotUnderstood(clean(what)),
            FeedError::Implausible(what) => FeedError::Implausible(clean(what)),
            FeedError::Other { asked, answered } => {
                FeedError::Other { asked, answered: clean(answered) }
            }
            other => other,
        }
    }
}

fn text_of(words: &str) -> String {
    if words.is_empty() { String::new() } else { format!(": {words}") }
}

fn wait_of(wait: &Option<Duration>) -> String {
    wait.map_or(String::new(), |wait| format!(" (ask again in {} s)", wait.as_secs()))
}
