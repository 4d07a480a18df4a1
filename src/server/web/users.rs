// SPDX-License-Identifier: Apache-2.0
//! `basic_auth_users`: who may read the pages, by bcrypt hashes.
//!
//! A hash is made to be dear, so that it is computed at most once for a right
//! password, never for two clients at a time, and after a wrong one not again for
//! four times as long: guessing takes a fifth of one core at most. An unknown user
//! costs what a known one costs, and comparisons take the same time wherever they
//! differ.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use tokio::sync::{Semaphore, oneshot};

use crate::clock;

/// The dearest hash that is taken: about a second.
const MOST_COST: u32 = 14;
/// Clients that may wait for the one computation.
const WAITING: usize = 4;
/// How long each of them waits.
const WAIT: Duration = Duration::from_secs(10);
/// Rest after a wrong password, in times of its computation.
const REST: u32 = 4;

/// What comes of a look at a request's credentials.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// They are right, or none are asked for.
    Welcome,
    /// They are missing or wrong.
    Unknown,
    /// Too many are being looked at.
    Busy,
}

/// The users. No `Debug`: it holds hashes.
pub struct Users {
    known: HashMap<String, Known>,
    /// What an unknown user's password is compared with.
    nobody: String,
}

struct Known {
    hash: String,
    /// The digest of the password that was found right.
    right: Mutex<Option<[u8; 32]>>,
}

/// Lets one password be looked at after another.
pub struct Gate {
    one: Arc<Semaphore>,
    waiting: Semaphore,
}

impl Default for Gate {
    fn default() -> Gate {
        Gate { one: Arc::new(Semaphore::new(1)), waiting: Semaphore::new(WAITING) }
    }
}

impl Users {
    /// From names and hashes.
    ///
    /// # Errors
    /// Which user's hash is none or too dear; the hash is not repeated.
    pub fn new(users: impl Iterator<Item = (String, String)>) -> Result<Users, String> {
        let mut known = HashMap::new();
        let mut most = 10;
        for (name, hash) in users {
            let parts: bcrypt::HashParts =
                hash.parse().map_err(|_| format!("the password of `{name}` is no bcrypt hash"))?;
            let cost = parts.get_cost();
            if !(4..=MOST_COST).contains(&cost) {
                return Err(format!(
                    "the hash of `{name}` has cost {cost}: 4 to {MOST_COST} are taken, 10 is usual"
                ));
            }
            if name.contains(':') {
                return Err(format!("`{name}` cannot log in: a user's name has no colon"));
            }
            most = if known.is_empty() { cost } else { cost.max(most) };
            known.insert(name, Known { hash, right: Mutex::new(None) });
        }
        // Of no password: 22 characters of salt, 31 of hash.
        let nobody = format!("$2b${most:02}${}", ".".repeat(53));
        Ok(Users { known, nobody })
    }

    /// Takes over who has logged in, as far as their hashes are the same.
    pub fn keep(&self, earlier: &Users) {
        for (name, user) in &self.known {
            let same = earlier.known.get(name).filter(|same| same.hash == user.hash);
            if let Some(digest) = same.and_then(Known::right) {
                user.note(digest);
            }
        }
    }

    /// Whether nobody has to say who they are.
    pub fn is_empty(&self) -> bool {
        self.known.is_empty()
    }

    /// Looks at the value of `Authorization`.
    pub async fn look(&self, authorization: Option<&[u8]>, gate: &Gate) -> Verdict {
        if self.known.is_empty() {
            return Verdict::Welcome;
        }
        let Some((name, password)) = authorization.and_then(credentials) else {
            return Verdict::Unknown;
        };
        let user = self.known.get(&name);
        let digest: [u8; 32] = Sha256::digest(&password).into();
        if user.is_some_and(|user| user.was_right(&digest)) {
            return Verdict::Welcome;
        }
        let hash = user.map_or(&self.nobody, |user| &user.hash).clone();
        match gate.compare(hash, password).await {
            None => Verdict::Busy,
            Some(true) => match user {
                Some(user) => {
                    user.note(digest);
                    Verdict::Welcome
                }
                None => Verdict::Unknown,
            },
            Some(false) => Verdict::Unknown,
        }
    }
}

impl Known {
    fn right(&self) -> Option<[u8; 32]> {
        *self.right.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn was_right(&self, digest: &[u8; 32]) -> bool {
        self.right().is_some_and(|right| right.ct_eq(digest).into())
    }

    fn note(&self, digest: [u8; 32]) {
        *self.right.lock().unwrap_or_else(PoisonError::into_inner) = Some(digest);
    }
}

impl Gate {
    /// One at which nobody gets a turn.
    #[cfg(test)]
    pub fn closed() -> Gate {
        Gate { waiting: Semaphore::new(0), ..Gate::default() }
    }

    /// Whether the password is the hash's; `None`: too many ask.
    async fn compare(&self, hash: String, password: Vec<u8>) -> Option<bool> {
        let _waiting = self.waiting.try_acquire().ok()?;
        let turn = tokio::time::timeout(WAIT, self.one.clone().acquire_owned()).await;
        let turn = turn.ok()?.ok()?;
        let (answer, answered) = oneshot::channel();
        // The turn ends with the computation, not with a client that went away.
        tokio::task::spawn_blocking(move || {
            let began = clock::now();
            let right = bcrypt::verify(&password, &hash).unwrap_or(false);
            let rest = clock::now().since(began) * REST;
            // A client that has gone asks for nothing.
            _ = answer.send(right);
            if !right {
                std::thread::sleep(rest);
            }
            drop(turn);
        });
        Some(answered.await.unwrap_or(false))
    }
}

/// Name and password of basic auth (RFC 7617).
pub fn credentials(authorization: &[u8]) -> Option<(String, Vec<u8>)> {
    let text = std::str::from_utf8(authorization).ok()?;
    let (scheme, rest) = text.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let decoded = STANDARD.decode(rest.trim()).ok()?;
    let colon = decoded.iter().position(|byte| *byte == b':')?;
    let name = String::from_utf8(decoded[..colon].to_vec()).ok()?;
    Some((name, decoded[colon + 1..].to_vec()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hash(password: &str) -> String {
        bcrypt::hash(password, 4).unwrap()
    }

    fn users() -> Users {
        let users = [("alice", hash("right")), ("bob", hash("other").replacen("$2b$", "$2y$", 1))];
        Users::new(users.into_iter().map(|(name, hash)| (name.to_owned(), hash))).unwrap()
    }

    fn basic(text: &str) -> Vec<u8> {
        format!("Basic {}", STANDARD.encode(text)).into_bytes()
    }

    fn block_on<T>(future: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()
            .unwrap()
            .block_on(future)
    }

    #[test]
    fn only_the_right_password_of_a_known_user_is_welcome() {
        let (users, gate) = (users(), Gate::default());
        let look = |value: &[u8]| block_on(users.look(Some(value), &gate));
        assert_eq!(look(&basic("alice:right")), Verdict::Welcome);
        assert_eq!(look(&basic("bob:other")), Verdict::Welcome);
        for wrong in ["alice:wrong", "bob:right", "carol:right", "alice:", ":", "alice", ""] {
            assert_eq!(look(&basic(wrong)), Verdict::Unknown, "{wrong}");
        }
        for wrong in [&b"Basic"[..], b"Basic !!!", b"Bearer YWxpY2U6cmlnaHQ=", b"\xff", b""] {
            assert_eq!(look(wrong), Verdict::Unknown);
        }
        assert_eq!(block_on(users.look(None, &gate)), Verdict::Unknown);
        let nobody = Users::new(std::iter::empty()).unwrap();
        assert_eq!(block_on(nobody.look(None, &gate)), Verdict::Welcome);
    }

    #[test]
    fn a_right_password_is_computed_once_and_a_wrong_one_is_not_kept() {
        let (users, gate) = (users(), Gate::default());
        block_on(async {
            assert_eq!(users.look(Some(&basic("alice:right")), &gate).await, Verdict::Welcome);
            // Nobody gets a turn any more: what is known needs none.
            let _turn = gate.one.acquire().await.unwrap();
            let waiting = gate.waiting.acquire_many(WAITING as u32).await.unwrap();
            assert_eq!(users.look(Some(&basic("alice:right")), &gate).await, Verdict::Welcome);
            assert_eq!(users.look(Some(&basic("alice:wrong")), &gate).await, Verdict::Busy);
            assert_eq!(users.look(Some(&basic("bob:other")), &gate).await, Verdict::Busy);
            drop(waiting);
        });
    }

    #[test]
    fn after_a_wrong_password_the_next_one_gets_its_turn() {
        let (users, gate) = (users(), Gate::default());
        block_on(async {
            assert_eq!(users.look(Some(&basic("alice:wrong")), &gate).await, Verdict::Unknown);
            // A hash of cost 4 takes a millisecond and rests for four: the next one
            // waits for its turn, and gets it.
            assert_eq!(users.look(Some(&basic("alice:right")), &gate).await, Verdict::Welcome);
        });
    }

    #[test]
    fn hashes_that_cannot_be_used_are_refused_without_being_shown() {
        let check = |name: &str, hash: &str, start: &str| {
            let users = std::iter::once((name.to_owned(), hash.to_owned()));
            let message = Users::new(users).map(drop).unwrap_err();
            assert!(message.starts_with(start), "{message}");
            assert!(hash.is_empty() || !message.contains(hash), "{message}");
        };
        check("a", "plain-text-password", "the password of `a` is no bcrypt hash");
        check("a", "", "the password of `a` is no bcrypt hash");
        let dear = hash("x").replacen("$04$", "$15$", 1);
        check("a", &dear, "the hash of `a` has cost 15");
        check("a:b", &hash("x"), "`a:b` cannot log in");
    }

    #[test]
    fn what_stands_for_an_unknown_user_is_a_hash_as_dear_as_the_others() {
        let parts: bcrypt::HashParts = users().nobody.parse().unwrap();
        assert_eq!(parts.get_cost(), 4);
        assert!(!bcrypt::verify("", &users().nobody).unwrap());
    }
}
