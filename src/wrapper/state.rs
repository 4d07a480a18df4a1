// SPDX-License-Identifier: Apache-2.0
//! What the wrapper does about each thing that can happen, as a pure function.
//!
//! The rule: the command, and the shell above, shall see what they would see
//! without the wrapper. A signal that the command has had already is not sent
//! again. The wrapper stops only once the command has stopped for Ctrl-Z (the
//! command may have a terminal to tidy up, or may ignore it), and a command
//! that is stopped by another hand does not stop the wrapper, as with `time`.

use nix::libc;

use crate::jobs::Exit;

/// Who sent a signal to the wrapper.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sender {
    /// The kernel: a terminal, a timer, a hang-up.
    Kernel,
    /// The wrapper itself (SIGPIPE for a write of its own).
    Ourselves,
    /// The command or a process below it, to its group.
    Job,
    /// Anyone else.
    Other,
}

/// What can happen while the command runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Event {
    /// The command ended.
    ChildEnded(Exit),
    /// The command stopped by this signal.
    ChildStopped(i32),
    /// The command was continued.
    ChildContinued,
    /// The wrapper got this signal.
    Signal {
        /// Its number.
        number: i32,
        /// Who sent it.
        sender: Sender,
        /// Whether the command has left the wrapper's process group, so that
        /// what went to that group did not reach it.
        child_apart: bool,
    },
}

/// What to do about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Effect {
    /// Nothing.
    Nothing,
    /// Send this signal to the command.
    ToChild(i32),
    /// Send this signal to the process group that the command has gone to.
    ToGroupOfChild(i32),
    /// Stop the wrapper by this signal, until someone continues it.
    StopOurselves(i32),
    /// The command has ended thus.
    Finish(Exit),
}

/// What is known of the command and its terminal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct State {
    /// Whether the wrapper leads its session: then the kernel tells the
    /// wrapper alone that the terminal hung up (`tty_signal_session_leader`).
    session_leader: bool,
    /// Whether the command is stopped.
    child_stopped: bool,
    /// Whether the wrapper was asked to stop and waits for the command to do so.
    stop_wanted: bool,
}

impl State {
    /// At the release of the command.
    pub(super) const fn new(session_leader: bool) -> State {
        State { session_leader, child_stopped: false, stop_wanted: false }
    }

    /// The state after the event, and what to do.
    pub(super) fn handle(self, event: Event) -> (State, Effect) {
        match event {
            Event::ChildEnded(exit) => (self, Effect::Finish(exit)),
            Event::ChildStopped(number) => {
                let effect = match self.stop_wanted {
                    true => Effect::StopOurselves(number),
                    false => Effect::Nothing,
                };
                (State { child_stopped: true, stop_wanted: false, ..self }, effect)
            }
            Event::ChildContinued => (self.continued(), Effect::Nothing),
            Event::Signal { sender: Sender::Ourselves, .. } => (self, Effect::Nothing),
            Event::Signal { number, sender, child_apart } => match number {
                libc::SIGCONT => (self.continued(), self.pass_continue(child_apart)),
                libc::SIGTSTP | libc::SIGTTIN | libc::SIGTTOU if self.child_stopped => {
                    (State { stop_wanted: false, ..self }, Effect::StopOurselves(number))
                }
                libc::SIGTSTP | libc::SIGTTIN | libc::SIGTTOU => {
                    (State { stop_wanted: true, ..self }, self.pass_on(number, sender, child_apart))
                }
                _ => (self, self.pass_on(number, sender, child_apart)),
            },
        }
    }

    const fn continued(self) -> State {
        State { child_stopped: false, stop_wanted: false, ..self }
    }

    /// A shell's `fg` continues the group, `kill -CONT` the wrapper alone, and
    /// the two look alike: the command is continued where it still stands.
    const fn pass_continue(self, child_apart: bool) -> Effect {
        match (self.child_stopped, child_apart) {
            (false, _) => Effect::Nothing,
            (true, false) => Effect::ToChild(libc::SIGCONT),
            (true, true) => Effect::ToGroupOfChild(libc::SIGCONT),
        }
    }

    fn pass_on(self, number: i32, sender: Sender, child_apart: bool) -> Effect {
        match sender {
            Sender::Ourselves | Sender::Job => Effect::Nothing,
            Sender::Kernel if number == libc::SIGHUP && self.session_leader => {
                Effect::ToChild(number)
            }
            Sender::Kernel if of_terminal(number) && child_apart => Effect::ToGroupOfChild(number),
            Sender::Kernel if of_terminal(number) => Effect::Nothing,
            Sender::Kernel | Sender::Other => Effect::ToChild(number),
        }
    }
}

/// Signals that the kernel sends for a terminal, to whole process groups.
fn of_terminal(number: i32) -> bool {
    matches!(
        number,
        libc::SIGINT
            | libc::SIGQUIT
            | libc::SIGHUP
            | libc::SIGWINCH
            | libc::SIGTSTP
            | libc::SIGTTIN
            | libc::SIGTTOU
    )
}

#[cfg(test)]
mod tests {
    use super::Effect::*;
    use super::Event::*;
    use super::*;
    use libc::{
        SIGALRM, SIGCONT, SIGHUP, SIGINT, SIGPIPE, SIGQUIT, SIGSTOP, SIGTERM, SIGTSTP, SIGTTIN,
        SIGUSR1, SIGWINCH,
    };

    const fn signal(number: i32, sender: Sender) -> Event {
        Signal { number, sender, child_apart: false }
    }

    const fn apart(number: i32, sender: Sender) -> Event {
        Signal { number, sender, child_apart: true }
    }

    #[track_caller]
    fn check(session_leader: bool, steps: &[(Event, Effect)]) {
        let mut state = State::new(session_leader);
        for (index, (event, expected)) in steps.iter().enumerate() {
            let (next, effect) = state.handle(*event);
            assert_eq!(effect, *expected, "step {index}: {event:?}");
            state = next;
        }
    }

    #[test]
    fn what_the_terminal_sends_is_not_sent_again() {
        for number in [SIGINT, SIGQUIT, SIGHUP, SIGWINCH, SIGTSTP, SIGTTIN] {
            check(false, &[(signal(number, Sender::Kernel), Nothing)]);
        }
    }

    #[test]
    fn what_the_terminal_sends_is_passed_to_a_command_in_another_group() {
        for number in [SIGINT, SIGQUIT, SIGHUP, SIGWINCH, SIGTSTP, SIGTTIN] {
            check(false, &[(apart(number, Sender::Kernel), ToGroupOfChild(number))]);
        }
    }

    #[test]
    fn what_is_sent_to_the_wrapper_alone_is_passed_on() {
        for number in [SIGINT, SIGQUIT, SIGHUP, SIGTERM, SIGUSR1, SIGTSTP, SIGWINCH, 34, 64] {
            check(false, &[(signal(number, Sender::Other), ToChild(number))]);
            check(false, &[(apart(number, Sender::Other), ToChild(number))]);
        }
        check(false, &[(signal(SIGALRM, Sender::Kernel), ToChild(SIGALRM))]);
    }

    #[test]
    fn what_the_job_sent_to_its_group_or_the_wrapper_to_itself_is_not_passed_on() {
        for number in [SIGTERM, SIGTSTP, SIGUSR1] {
            check(false, &[(signal(number, Sender::Job), Nothing)]);
        }
        check(false, &[(signal(SIGPIPE, Sender::Ourselves), Nothing)]);
    }

    #[test]
    fn a_hang_up_told_to_the_session_leader_alone_is_passed_on() {
        check(true, &[(signal(SIGHUP, Sender::Kernel), ToChild(SIGHUP))]);
        check(true, &[(signal(SIGINT, Sender::Kernel), Nothing)]);
    }

    #[test]
    fn ctrl_z_stops_the_wrapper_after_the_command_and_fg_continues_both() {
        check(
            false,
            &[
                (signal(SIGTSTP, Sender::Kernel), Nothing),
                (ChildStopped(SIGTSTP), StopOurselves(SIGTSTP)),
                (signal(SIGCONT, Sender::Other), ToChild(SIGCONT)),
                (ChildContinued, Nothing),
                (ChildEnded(Exit::Code(3)), Finish(Exit::Code(3))),
            ],
        );
    }

    #[test]
    fn ctrl_z_works_when_the_commands_stop_is_seen_first() {
        check(
            false,
            &[
                (ChildStopped(SIGTSTP), Nothing),
                (signal(SIGTSTP, Sender::Kernel), StopOurselves(SIGTSTP)),
                (ChildContinued, Nothing),
                (signal(SIGCONT, Sender::Other), Nothing),
            ],
        );
    }

    #[test]
    fn a_command_that_stops_itself_after_ctrl_z_stops_the_wrapper_by_the_same_signal() {
        check(
            false,
            &[
                (signal(SIGTSTP, Sender::Job), Nothing),
                (ChildStopped(SIGSTOP), StopOurselves(SIGSTOP)),
            ],
        );
    }

    #[test]
    fn a_command_that_another_stops_does_not_stop_the_wrapper() {
        check(
            false,
            &[
                (ChildStopped(SIGSTOP), Nothing),
                (ChildContinued, Nothing),
                (signal(SIGTERM, Sender::Other), ToChild(SIGTERM)),
            ],
        );
    }

    #[test]
    fn a_continue_takes_back_a_stop_that_the_command_ignored() {
        for continued in [signal(SIGCONT, Sender::Other), ChildContinued] {
            check(
                false,
                &[
                    (signal(SIGTSTP, Sender::Kernel), Nothing),
                    (continued, Nothing),
                    (ChildStopped(SIGSTOP), Nothing),
                ],
            );
        }
    }

    #[test]
    fn a_stopped_command_in_another_group_is_continued_with_its_group() {
        check(
            false,
            &[
                (apart(SIGTSTP, Sender::Kernel), ToGroupOfChild(SIGTSTP)),
                (ChildStopped(SIGTSTP), StopOurselves(SIGTSTP)),
                (apart(SIGCONT, Sender::Other), ToGroupOfChild(SIGCONT)),
            ],
        );
    }
}
