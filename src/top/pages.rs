// SPDX-License-Identifier: Apache-2.0
//! What stands over the list of jobs: the keys, and one job in full.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use crate::record::text;
use crate::server::now::{JobNow, Now, PhaseNow, UnitNow};

use super::draw::{BOLD, PLAIN, elapsed, fitting, put, watts};

const KEYS: [(&str, &str); 12] = [
    ("Up Down j k", "go to a job, and follow it"),
    ("PgUp PgDn g G", "go further"),
    ("P", "sort by power"),
    ("E", "sort by energy"),
    ("C", "sort by CO2e"),
    ("T", "sort by time"),
    ("I", "invert the order"),
    ("/ F F4", "filter by name, user, project"),
    ("Enter s", "show the job"),
    ("Ctrl-Z Ctrl-L", "suspend, draw anew"),
    ("h ? F1", "this help"),
    ("q F10 Ctrl-C", "quit"),
];

/// The keys.
pub(super) fn help(area: Rect, buffer: &mut Buffer) {
    put(buffer, area, 0, "Keys (any key closes this)", BOLD);
    for (row, (keys, what)) in (1..).zip(KEYS) {
        put(buffer, area, row, &format!("{keys:<14} {what}"), PLAIN);
    }
    let row = KEYS.len() as u16 + 2;
    put(
        buffer,
        area,
        row,
        "`no job` is power that no job used; CO2e is of electricity at the",
        PLAIN,
    );
    put(buffer, area, row + 1, "intensity of its time and, where known, of hardware.", PLAIN);
    put(
        buffer,
        area,
        row + 2,
        "`aimeter end JOB` ends a job, `aimeter show JOB` tells all of it.",
        PLAIN,
    );
}

/// One job.
pub(super) fn job(job: &JobNow, now: &Now, area: Rect, buffer: &mut Buffer) {
    put(buffer, area, 0, &format!("{} (any key closes this)", text::line(&job.name)), BOLD);
    let hours = text::watt_hours(job.joules).map_or(String::new(), |hours| format!(" ({hours})"));
    let of_kinds = [("GPU", job.gpu_joules), ("CPU", job.cpu_joules), ("DRAM", job.dram_joules)];
    let of_kinds: Vec<String> = of_kinds
        .iter()
        .filter(|(_, joules)| *joules > 0.0)
        .map(|(kind, joules)| format!("{kind} {}", text::energy(*joules)))
        .collect();
    let owner = match &job.project {
        Some(project) => format!("{}, project {}", text::line(&job.user), text::line(project)),
        None => text::line(&job.user),
    };
    let started = job.started_at.strftime("%Y-%m-%d %H:%M:%S UTC");
    let mut lines = vec![
        ("power", watts(job.watts)),
        ("energy", format!("{}{hours}", text::energy(job.joules))),
        ("", of_kinds.join(", ")),
        ("CO2e", text::emissions(job.emissions_grams)),
        ("time", format!("{}, started {started}", elapsed(job, now))),
        ("user", owner),
        ("job", job.id.clone()),
        ("more", format!("aimeter show {}", job.id)),
    ];
    let room = usize::from(area.height).saturating_sub(1 + lines.len());
    lines.extend(work(job, area.width.saturating_sub(11), room));
    for (row, (label, text)) in (1..).zip(&lines) {
        put(buffer, area, row, &format!("  {label:<8} {text}"), PLAIN);
    }
}

/// What the job has marked, in so many rows of a width: its units in one, then the phases
/// that took most.
fn work(job: &JobNow, width: u16, mut room: usize) -> Vec<(&'static str, String)> {
    let unit = |unit: &UnitNow| {
        let each = unit.joules_per_unit.map(|joules| format!(", {} each", text::energy(joules)));
        format!("{} {}{}", unit.count, unit.unit, each.unwrap_or_default())
    };
    let mut lines = Vec::new();
    let units: Vec<String> = job.work.iter().map(unit).collect();
    if !units.is_empty() {
        lines.push(("work", fitting(&units, width)));
        room = room.saturating_sub(1);
    }
    let mut phases: Vec<&PhaseNow> = job.phases.iter().collect();
    phases.sort_by(|one, other| other.joules.total_cmp(&one.joules));
    // Figures are never cut, and have some 36 columns at most.
    let longest = usize::from(width).saturating_sub(37).max(16);
    // The last row says how many have no room.
    let shown = if phases.len() <= room { room } else { room.saturating_sub(1) };
    for (place, phase) in phases.iter().take(shown).enumerate() {
        let now = if job.phase.as_ref() == Some(&phase.name) { ", now" } else { "" };
        let share = match job.joules {
            joules if joules > 0.0 => {
                format!(" ({})", text::percent(phase.joules / joules * 100.0))
            }
            _ => String::new(),
        };
        let (energy, time) = (text::energy(phase.joules), text::duration(phase.seconds));
        let label = if place == 0 { "phases" } else { "" };
        let name = &phase.name;
        lines.push((label, format!("{name:<16.longest$} {energy}{share}, {time}{now}")));
    }
    if phases.len() > shown {
        lines.push(("", format!("{} more", phases.len() - shown)));
    }
    lines
}
