// SPDX-License-Identifier: Apache-2.0
//! From what a spec says to what it means, or what is wrong with it.

use std::time::Duration;

use jiff::SignedDuration;

use super::form::{
    BuildingForm, EmbodiedForm, ProtocolForm, SpecForm, StopForm, UnitForm, WorkForm,
};
use super::{Gpus, Protocol, Spec, Stop, Work, WorkRun};
use crate::benchmark::record::{CountedBy, PueStatement, SciEmbodied, UnitKind, UnitPart};
use crate::benchmark::window::Pattern;
use crate::benchmark::workload::Kind;
use crate::jobs::marks::MarkName;

/// The longest time of a campaign's part: a month.
const LONGEST: Duration = Duration::from_secs(31 * 86_400);
/// The most repetitions.
const MOST_REPETITIONS: u32 = 1_000;
const SECONDS_PER_YEAR: f64 = 365.0 * 86_400.0;

/// A field with a wrong value.
#[derive(Debug)]
pub(super) struct Wrong {
    pub(super) section: &'static str,
    pub(super) name: &'static str,
    problem: String,
}

impl Wrong {
    pub(super) fn what(&self) -> String {
        let dot = if self.section.is_empty() { "" } else { "." };
        format!("{}{dot}{}: {}", self.section, self.name, self.problem)
    }
}

fn wrong(section: &'static str, name: &'static str, problem: impl Into<String>) -> Wrong {
    Wrong { section, name, problem: problem.into() }
}

pub(super) fn spec(form: SpecForm) -> Result<Spec, Wrong> {
    let (unit, pattern) = unit(form.unit)?;
    let told = |name: &str| form.disclosures.get(name).is_some_and(|text| !text.trim().is_empty());
    if form.work.builtin.is_none() && !told("framework") {
        let problem =
            "a record without it is not valid: write its name and version, \"none\" or \"unknown\"";
        return Err(wrong("disclosures", "framework", problem));
    }
    Ok(Spec {
        name: text("", "name", form.name)?,
        description: form.description,
        contact: form.contact,
        unit,
        pattern,
        work: work(form.work)?,
        protocol: protocol(&form.protocol)?,
        stop: stop(&form.stop)?,
        disclosures: form.disclosures,
        pue: form.building.map(building).transpose()?,
        embodied: form.embodied.map(embodied).transpose()?,
    })
}

fn text(section: &'static str, name: &'static str, text: String) -> Result<String, Wrong> {
    let good = !text.trim().is_empty() && text.len() <= 200 && !text.contains(char::is_control);
    if good { Ok(text) } else { Err(wrong(section, name, "write 1 to 200 bytes on one line")) }
}

fn unit(form: UnitForm) -> Result<(UnitPart, Option<String>), Wrong> {
    const UNIT: &str = "unit";
    if let Err(error) = form.name.parse::<MarkName>() {
        return Err(wrong(UNIT, "name", error.to_string()));
    }
    let counted_by = form.counted_by;
    if let Some(Err(problem)) = form.pattern.as_deref().map(Pattern::compile) {
        return Err(wrong(UNIT, "pattern", problem));
    }
    match (counted_by, &form.pattern) {
        (CountedBy::Pattern, None) if form.kind != UnitKind::Quality => {
            return Err(wrong(UNIT, "counted_by", "`pattern` needs a field `pattern`"));
        }
        (CountedBy::Mark | CountedBy::Exit, Some(_)) => {
            return Err(wrong(UNIT, "pattern", "is only for counted_by = \"pattern\""));
        }
        _ => {}
    }
    match form.kind {
        UnitKind::Run if counted_by != CountedBy::Exit => {
            return Err(wrong(UNIT, "counted_by", "a unit of kind `run` is counted by `exit`"));
        }
        UnitKind::Token | UnitKind::Sample | UnitKind::Step if counted_by == CountedBy::Exit => {
            return Err(wrong(
                UNIT,
                "counted_by",
                "`exit` counts runs only: write mark or pattern",
            ));
        }
        UnitKind::Quality if form.quality.is_none() => {
            return Err(wrong(UNIT, "kind", "`quality` needs a table [unit.quality]"));
        }
        UnitKind::Quality if counted_by == CountedBy::Exit => {
            return Err(wrong(UNIT, "counted_by", "`quality` is counted by pattern or mark"));
        }
        kind if kind != UnitKind::Quality && form.quality.is_some() => {
            return Err(wrong("unit.quality", "metric", "is only for kind = \"quality\""));
        }
        _ => {}
    }
    if form.quality.as_ref().is_some_and(|quality| !quality.threshold.is_finite()) {
        return Err(wrong("unit.quality", "threshold", "write a number"));
    }
    let UnitForm { kind, name, role, pattern, quality, .. } = form;
    Ok((UnitPart { kind, name, role, counted_by, quality: quality.map(Into::into) }, pattern))
}

fn work(form: WorkForm) -> Result<Work, Wrong> {
    const WORK: &str = "work";
    let run = match (form.command, form.builtin) {
        (Some(_), Some(_)) => {
            return Err(wrong(WORK, "builtin", "either this or `command`, not both"));
        }
        (None, None) => return Err(wrong(WORK, "command", "write `command` or `builtin`")),
        (Some(command), None) => {
            let bad = command.first().is_none_or(String::is_empty)
                || command.iter().any(|part| part.contains('\0'));
            if bad {
                let example =
                    "write a command and its arguments, such as [\"python3\", \"train.py\"]";
                return Err(wrong(WORK, "command", example));
            }
            WorkRun::Command(command)
        }
        (None, Some(name)) => {
            let known = Kind::ALL.iter().any(|kind| kind.word() == name);
            if !known {
                return Err(wrong(WORK, "builtin", "write matrix or training"));
            }
            WorkRun::Builtin(name)
        }
    };
    for (name, value) in &form.environment {
        if name.is_empty() || name.contains(['=', '\0']) || value.contains('\0') {
            return Err(wrong("work.environment", "", format!("`{name}` cannot be a variable")));
        }
    }
    let gpus = form.gpus.map_or(Ok(Gpus::Auto), |text| gpus(&text))?;
    Ok(Work { run, directory: form.directory, environment: form.environment, gpus })
}

fn gpus(text: &str) -> Result<Gpus, Wrong> {
    match text {
        "auto" => Ok(Gpus::Auto),
        "all" => Ok(Gpus::All),
        "none" => Ok(Gpus::None),
        list => {
            let names: Vec<String> = list.split(',').map(|name| name.trim().to_owned()).collect();
            if names.iter().any(String::is_empty) {
                let example = "write auto, all, none, or a list such as \"0,1\" or \"GPU-6f0c\"";
                return Err(wrong("work", "gpus", example));
            }
            Ok(Gpus::List(names))
        }
    }
}

fn protocol(form: &ProtocolForm) -> Result<Protocol, Wrong> {
    const PROTOCOL: &str = "protocol";
    let default = Protocol::default();
    let time = |name, value: Option<SignedDuration>, default| {
        value.map_or(Ok(default), |value| duration(PROTOCOL, name, value))
    };
    let repetitions = form.repetitions.unwrap_or(default.repetitions);
    let max_repetitions = form.max_repetitions.unwrap_or(repetitions);
    if !(1..=MOST_REPETITIONS).contains(&repetitions) {
        return Err(wrong(PROTOCOL, "repetitions", format!("write 1 to {MOST_REPETITIONS}")));
    }
    if !(repetitions..=MOST_REPETITIONS).contains(&max_repetitions) {
        let range = format!("write {repetitions} (`repetitions`) to {MOST_REPETITIONS}");
        return Err(wrong(PROTOCOL, "max_repetitions", range));
    }
    let window = time("window", form.window, default.window)?;
    if window.is_zero() {
        return Err(wrong(PROTOCOL, "window", "a window without time measures nothing"));
    }
    Ok(Protocol {
        idle: time("idle", form.idle, default.idle)?,
        warm_up: time("warm_up", form.warm_up, default.warm_up)?,
        window,
        repetitions,
        max_repetitions,
        settle: time("settle", form.settle, default.settle)?,
    })
}

fn duration(
    section: &'static str,
    name: &'static str,
    value: SignedDuration,
) -> Result<Duration, Wrong> {
    let value = Duration::try_from(value).ok().filter(|value| *value <= LONGEST);
    value.ok_or_else(|| wrong(section, name, "write a time from 0s to 31d"))
}

fn stop(form: &StopForm) -> Result<Stop, Wrong> {
    const STOP: &str = "stop";
    let percent = form.confidence_percent;
    if percent.is_some_and(|percent| !(percent > 0.0 && percent <= 100.0)) {
        return Err(wrong(STOP, "confidence_percent", "write more than 0 and at most 100"));
    }
    let max_joules = form.max_energy.as_deref().map(|text| {
        energy(text).ok_or_else(|| {
            wrong(STOP, "max_energy", "write an energy such as \"2kWh\", \"500Wh\" or \"3600kJ\"")
        })
    });
    let max_time = form.max_time.map(|time| duration(STOP, "max_time", time)).transpose()?;
    if max_time.is_some_and(|time| time.is_zero()) {
        return Err(wrong(STOP, "max_time", "write more than no time"));
    }
    Ok(Stop { confidence_percent: percent, max_joules: max_joules.transpose()?, max_time })
}

/// Joules of a text such as `2 kWh`; `None`: not one, or not above 0.
fn energy(text: &str) -> Option<f64> {
    const UNITS: [(&str, f64); 7] = [
        ("MWh", 3.6e9),
        ("kWh", 3.6e6),
        ("Wh", 3.6e3),
        ("GJ", 1e9),
        ("MJ", 1e6),
        ("kJ", 1e3),
        ("J", 1.0),
    ];
    let (number, joules) =
        UNITS.iter().find_map(|(unit, joules)| Some((text.strip_suffix(unit)?, joules)))?;
    let energy = number.trim().parse::<f64>().ok()? * joules;
    (energy.is_finite() && energy > 0.0).then_some(energy)
}

fn building(form: BuildingForm) -> Result<PueStatement, Wrong> {
    if !(1.0..=10.0).contains(&form.pue) {
        return Err(wrong("building", "pue", "write a factor from 1 to 10"));
    }
    let source = text("building", "source", form.source)?;
    Ok(PueStatement { value: form.pue, source, kind: form.kind })
}

fn embodied(form: EmbodiedForm) -> Result<SciEmbodied, Wrong> {
    const EMBODIED: &str = "embodied";
    let positive = |name: &'static str, value: f64| {
        let good = value.is_finite() && value > 0.0;
        if good { Ok(value) } else { Err(wrong(EMBODIED, name, "write a number above 0")) }
    };
    let (rr, tor) = (positive("rr", form.rr)?, positive("tor", form.tor)?);
    if rr > tor {
        return Err(wrong(EMBODIED, "rr", "no more can be reserved than there is (`tor`)"));
    }
    Ok(SciEmbodied {
        te_grams: positive("te_kg", form.te_kg)? * 1e3,
        te_source: text(EMBODIED, "te_source", form.te_source)?,
        el_seconds: positive("el_years", form.el_years)? * SECONDS_PER_YEAR,
        el_source: text(EMBODIED, "el_source", form.el_source)?,
        rr,
        tor,
        reserved_source: text(EMBODIED, "reserved_source", form.reserved_source)?,
    })
}
