// SPDX-License-Identifier: Apache-2.0
//! What the view knows, and what a key or a look at the daemon changes in it.

use std::collections::HashMap;

use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyEventKind, KeyModifiers};

use crate::server::now::{JobNow, Now};

use super::lines::Line;

/// Rows that a page key goes.
const PAGE: usize = 10;

/// What the jobs are sorted by; the largest first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Order {
    /// Power.
    #[default]
    Power,
    /// Energy.
    Energy,
    /// Emissions.
    Emissions,
    /// Time since its start.
    Time,
}

/// What stands over the list of jobs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Over {
    /// Nothing.
    #[default]
    Nothing,
    /// The keys.
    Help,
    /// The selected job.
    Job,
}

/// What can happen.
#[derive(Clone, Debug)]
pub enum Event {
    /// The daemon answered.
    Look(Box<Now>),
    /// It did not, and why.
    Lost(String),
    /// A key was pressed.
    Key(KeyEvent),
    /// The terminal has another size, or shows something else's output.
    Redraw,
}

/// What to do about it, besides drawing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Nothing.
    Nothing,
    /// Draw on a cleared screen.
    Clear,
    /// Stop, as Ctrl-Z does.
    Suspend,
    /// End.
    Quit,
}

/// The view.
#[derive(Clone, Debug, Default)]
pub struct Top {
    /// The daemon's last answer.
    pub now: Option<Now>,
    /// Why there is no newer one.
    pub lost: Option<String>,
    /// What jobs are sorted by.
    pub order: Order,
    /// The smallest first.
    pub inverted: bool,
    /// Only jobs with this in their name, user or project.
    pub filter: String,
    /// Whether the filter is being typed.
    pub typing: bool,
    /// What stands over the list.
    pub over: Over,
    /// The selected row.
    pub row: usize,
    /// The job of that row, once a key has chosen it: it is followed.
    followed: Option<String>,
    /// Power by domain.
    pub lines: HashMap<String, Line>,
    /// Power of all counted domains.
    pub total: Line,
    /// Power that no job used.
    pub unattributed: Line,
}

impl Top {
    /// Takes an event up.
    pub fn handle(&mut self, event: Event) -> Effect {
        match event {
            Event::Look(now) => self.look(*now),
            Event::Lost(why) => self.lost = Some(why),
            Event::Key(key) if key.kind != KeyEventKind::Release => return self.key(key),
            Event::Key(_) => {}
            Event::Redraw => return Effect::Clear,
        }
        Effect::Nothing
    }

    /// The jobs that are shown, in their order; those that run come first.
    pub fn jobs(&self) -> Vec<&JobNow> {
        let wanted = self.filter.to_lowercase();
        let has = |text: &str| text.to_lowercase().contains(&wanted);
        let shown = |job: &&JobNow| {
            has(&job.name) || has(&job.user) || job.project.as_deref().is_some_and(has)
        };
        let all = self.now.iter().flat_map(|now| &now.jobs);
        let mut jobs: Vec<&JobNow> = all.filter(shown).collect();
        let figure = |job: &JobNow| match self.order {
            Order::Power => job.watts.unwrap_or(0.0),
            Order::Energy => job.joules,
            Order::Emissions => job.emissions_grams,
            Order::Time => -(job.started_at.as_millisecond() as f64),
        };
        jobs.sort_by(|a, b| {
            let largest_first = figure(b).total_cmp(&figure(a));
            let order = if self.inverted { largest_first.reverse() } else { largest_first };
            b.runs().cmp(&a.runs()).then(order).then_with(|| a.id.cmp(&b.id))
        });
        jobs
    }

    fn look(&mut self, now: Now) {
        self.lost = None;
        let earlier = self.now.take();
        if earlier.as_ref().is_some_and(|earlier| earlier.at == now.at) {
            // The sampler has not ticked since.
            let unattributed_watts = earlier.and_then(|earlier| earlier.unattributed_watts);
            self.now = Some(Now { unattributed_watts, ..now });
            return;
        }
        let now = match &earlier {
            Some(earlier) => now.since(earlier),
            None => now,
        };
        if let Some(at) = now.at {
            let second = at.as_second();
            self.lines.retain(|id, _| now.domains.iter().any(|domain| domain.id == *id));
            for domain in &now.domains {
                if let Some(watts) = domain.watts {
                    self.lines.entry(domain.id.clone()).or_default().add(second, watts);
                }
            }
            now.watts.into_iter().for_each(|watts| self.total.add(second, watts));
            let unattributed = now.unattributed_watts.into_iter();
            unattributed.for_each(|watts| self.unattributed.add(second, watts));
        }
        self.now = Some(now);
        self.follow();
    }

    /// Keeps the selection on its job, or on its row where the job has gone.
    fn follow(&mut self) {
        let jobs = self.jobs();
        let last = jobs.len().saturating_sub(1);
        let place = jobs.iter().position(|job| Some(&job.id) == self.followed.as_ref());
        self.row = place.unwrap_or(self.row.min(last));
        if place.is_none() {
            self.followed = None;
            if self.over == Over::Job {
                self.over = Over::Nothing;
            }
        }
    }

    fn key(&mut self, key: KeyEvent) -> Effect {
        match (key.code, key.modifiers.contains(KeyModifiers::CONTROL)) {
            (KeyCode::Char('c'), true) | (KeyCode::F(10), _) => Effect::Quit,
            (KeyCode::Char('z'), true) => Effect::Suspend,
            (KeyCode::Char('l'), true) => Effect::Clear,
            (_, true) => Effect::Nothing,
            (code, _) if self.typing => self.type_filter(code),
            (code, _) if self.over != Over::Nothing => self.key_over(code),
            (code, _) => self.key_in_list(code),
        }
    }

    fn type_filter(&mut self, code: KeyCode) -> Effect {
        match code {
            KeyCode::Enter => self.typing = false,
            KeyCode::Esc => {
                self.typing = false;
                self.filter.clear();
            }
            KeyCode::Backspace => _ = self.filter.pop(),
            KeyCode::Char(letter) => self.filter.push(letter),
            _ => {}
        }
        self.follow();
        Effect::Nothing
    }

    fn key_over(&mut self, code: KeyCode) -> Effect {
        match (code, self.over) {
            (KeyCode::Up | KeyCode::Down | KeyCode::Char('j' | 'k'), Over::Job) => {
                return self.key_in_list(code);
            }
            _ => self.over = Over::Nothing,
        }
        Effect::Nothing
    }

    fn key_in_list(&mut self, code: KeyCode) -> Effect {
        match code {
            KeyCode::Char('q') => return Effect::Quit,
            KeyCode::Up | KeyCode::Char('k') => self.go(self.row.saturating_sub(1)),
            KeyCode::Down | KeyCode::Char('j') => self.go(self.row + 1),
            KeyCode::PageUp => self.go(self.row.saturating_sub(PAGE)),
            KeyCode::PageDown => self.go(self.row + PAGE),
            KeyCode::Home | KeyCode::Char('g') => self.go(0),
            KeyCode::End | KeyCode::Char('G') => self.go(usize::MAX),
            KeyCode::Char('P') => self.sort(Order::Power),
            KeyCode::Char('E') => self.sort(Order::Energy),
            KeyCode::Char('C') => self.sort(Order::Emissions),
            KeyCode::Char('T') => self.sort(Order::Time),
            KeyCode::Char('I') => self.invert(),
            KeyCode::Char('/' | 'F') | KeyCode::F(4) => self.typing = true,
            KeyCode::Esc => {
                self.filter.clear();
                self.follow();
            }
            KeyCode::Enter | KeyCode::Char('s') => {
                self.go(self.row);
                if self.followed.is_some() {
                    self.over = Over::Job;
                }
            }
            KeyCode::Char('h' | '?') | KeyCode::F(1) => self.over = Over::Help,
            _ => {}
        }
        Effect::Nothing
    }

    fn go(&mut self, row: usize) {
        let jobs = self.jobs();
        let row = row.min(jobs.len().saturating_sub(1));
        let followed = jobs.get(row).map(|job| job.id.clone());
        (self.row, self.followed) = (row, followed);
    }

    fn sort(&mut self, order: Order) {
        self.order = order;
        self.inverted = false;
        self.follow();
    }

    fn invert(&mut self) {
        self.inverted = !self.inverted;
        self.follow();
    }
}
