// SPDX-License-Identifier: Apache-2.0
//! The plots of one job: power over time, energy by domain, carbon intensity over time,
//! phases. Each with the table of what it shows; what there is no plot of is said.

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::{UNKNOWN, heading, known, moment};
use crate::html::plot::{Bar, Colour, Drawing, PlotError, Series, Shape, Step, unit};
use crate::html::{Markup, Table, figure, foreign, html};
use crate::record::curve::{Stretch, steps, thinned};
use crate::record::report::Reported;
use crate::record::{IntensityPart, PhasePart, Record, import, text};

/// Stretches of a curve, and rows of its table, at most.
const MOST: usize = 1_500;
const MOST_ROWS: usize = 120;

const WATTS: [(f64, &str); 3] = [(1.0, "W"), (1e3, "kW"), (1e6, "MW")];

/// All of them.
pub fn all(reported: &Reported, one_of_several: bool) -> Result<Markup, PlotError> {
    let record = &reported.record;
    Ok(html! {
        (power(reported, one_of_several)?)
        (domains(record)?)
        (intensity(record, one_of_several)?)
        (phases(record)?)
    })
}

fn over_time(title: &str, description: String, axis: &str, steps: Vec<Step>) -> Drawing {
    let series = Series { name: title.to_owned(), colour: Colour::Main, steps };
    let shape = Shape::Curve(series);
    let title = format!("{title} (UTC)");
    Drawing { title, description, axis: axis.to_owned(), zone: TimeZone::UTC, shape }
}

fn beside_names(title: &str, description: String, bars: Vec<Bar>) -> Drawing {
    let (axis, shape) = (String::new(), Shape::Bars(bars));
    Drawing { title: title.to_owned(), description, axis, zone: TimeZone::UTC, shape }
}

fn power(reported: &Reported, one_of_several: bool) -> Result<Markup, PlotError> {
    let absent = |why: &str| Ok(html! { (heading("Power over time", one_of_several)) p { (why) } });
    let Some(intervals) = &reported.intervals else {
        return absent(match import::counted_by(&reported.record.job.origin) {
            Some(_) => "Of an imported job the course of the power is not known.",
            None => {
                "A record does not hold the course of the power: report the job by its id on its machine."
            }
        });
    };
    let curve = thinned(steps(intervals, f64::INFINITY), MOST);
    let Some(most) = curve.iter().map(|one| one.watts).reduce(f64::max) else {
        return absent("Nothing was booked over any time.");
    };
    let (size, word) = unit(most, &WATTS);
    let step = |one: &Stretch| Step { from: one.from, to: one.to, value: one.watts / size };
    let least = curve.iter().map(|one| one.watts).fold(most, f64::min);
    let description = format!(
        "The mean power of each interval of the books, of all counted devices: between {} and {} {word}.",
        text::number(least / size),
        text::number(most / size),
    );
    let drawing = over_time("Power over time", description, word, curve.iter().map(step).collect());
    let mut table = Table::new("Mean power of the job by interval of the books")
        .left("From (UTC)")
        .left("To")
        .right(word);
    for one in thinned(curve, MOST_ROWS) {
        table.row([clock(one.from), clock(one.to), html! { (text::number(one.watts / size)) }]);
    }
    figure(&drawing, &table)
}

fn clock(seconds: f64) -> Markup {
    let time = Timestamp::from_microsecond((seconds * 1e6) as i64).ok();
    let told = time.map(|time| time.strftime("%Y-%m-%d %H:%M:%S").to_string());
    html! { span.whole { (known(told)) } }
}

fn domains(record: &Record) -> Result<Markup, PlotError> {
    let domains = &record.energy.domains;
    if domains.is_empty() {
        return Ok(html! {});
    }
    let mut table = Table::new("Energy by domain")
        .left("Domain")
        .left("Kind")
        .right("Energy")
        .right("± (95 %)")
        .left("Provenance")
        .left("Read by")
        .right("Share")
        .right("Gain error");
    let mut bars = Vec::new();
    for domain in domains {
        let counted = record.quality.coverage.contains(&domain.kind);
        let (joules, width) = (domain.joules, domain.uncertainty_joules);
        let kind = text::kind(&domain.kind);
        let kind = if counted { kind } else { format!("{kind} (overlaps, not added)") };
        table.row([
            foreign(&domain.id),
            html! { (text::line(&kind)) },
            html! { (text::energy(joules)) },
            known(width.map(text::uncertainty)),
            html! { (text::line(&domain.provenance)) },
            html! { (text::line(&domain.source)) " (" (text::line(&domain.method)) ")" },
            html! { (domain.share.map_or_else(String::new, |share| text::percent(share * 100.0))) },
            html! { (domain.sensor_gain_percent.map_or_else(String::new, |gain| format!("± {}", text::percent(gain)))) },
        ]);
        bars.push(Bar {
            name: domain.id.clone(),
            value: joules,
            interval: width.map(|width| (joules - width, joules + width)),
            told: text::energy(joules),
            colour: match domain.provenance.as_str() {
                _ if !counted => Colour::Beside,
                "estimated" => Colour::Estimated,
                _ => Colour::Main,
            },
        });
    }
    let told = bars.iter().map(|bar| format!("{} {}", text::line(&bar.name), bar.told));
    let description = told.collect::<Vec<_>>().join(", ");
    figure(&beside_names("Energy by domain", description, bars), &table)
}

fn intensity(record: &Record, one_of_several: bool) -> Result<Markup, PlotError> {
    let Some(grid) = record.emissions.intensity.as_ref().filter(|grid| !grid.parts.is_empty())
    else {
        return Ok(html! {
            (heading("Carbon intensity over time", one_of_several))
            p { "No carbon intensity is known of this job." }
        });
    };
    let mut table = Table::new(&caption(grid))
        .left("From (UTC)")
        .left("To")
        .right("g/kWh")
        .left("Source")
        .left("Kind")
        .left("Fetched");
    for part in &grid.parts {
        table.row([
            moment(&part.from),
            moment(&part.to),
            html! { (text::number(part.grams_per_kwh)) },
            foreign(&part.source),
            html! { (text::line(&part.kind)) },
            moment(&part.fetched_at),
        ]);
    }
    let seconds = |text: &str| {
        text.parse::<Timestamp>().map_or(f64::NAN, |time| time.as_duration().as_secs_f64())
    };
    let steps: Vec<Step> = grid
        .parts
        .iter()
        .map(|part| Step {
            from: seconds(&part.from),
            to: seconds(&part.to),
            value: part.grams_per_kwh,
        })
        .collect();
    let bounds = steps.iter().fold((f64::INFINITY, 0.0f64), |(least, most), step| {
        (least.min(step.value), most.max(step.value))
    });
    let description = format!(
        "The carbon intensity of the electricity in {} while the job ran: between {} and {} g/kWh, {} by energy.",
        text::line(&grid.zone),
        text::number(bounds.0),
        text::number(bounds.1),
        text::number(grid.mean_grams_per_kwh),
    );
    figure(&over_time("Carbon intensity over time", description, "gCO2e/kWh", steps), &table)
}

fn caption(grid: &IntensityPart) -> String {
    let state = if grid.settled { "no better figure is expected" } else { "not final" };
    format!(
        "Carbon intensity of {} as it was used ({}, {}); {state}",
        grid.zone, grid.signal, grid.boundary
    )
}

fn phases(record: &Record) -> Result<Markup, PlotError> {
    if record.phases.is_empty() {
        return Ok(html! {});
    }
    let name = |phase: &PhasePart| phase.name.clone().unwrap_or_else(|| "outside any".to_owned());
    let bar = |phase: &PhasePart, value: f64, told: String| Bar {
        name: name(phase),
        value,
        interval: None,
        told,
        colour: if phase.name.is_some() { Colour::Main } else { Colour::Beside },
    };
    let mut energy =
        Table::new("Energy by phase; the phases and what is outside make up the total")
            .left("Phase")
            .right("Energy")
            .right("Of all")
            .right("CO2e");
    let mut time =
        Table::new("Time by phase").left("Phase").right("Times").right("Time").right("Mean power");
    let (mut joules, mut seconds) = (Vec::new(), Vec::new());
    for phase in &record.phases {
        let share = record.energy.total_joules.filter(|total| *total > 0.0);
        let share = share.map(|total| text::percent(phase.joules / total * 100.0));
        let watts = phase.seconds.filter(|seconds| *seconds > 0.0).map(|time| phase.joules / time);
        energy.row([
            foreign(&name(phase)),
            html! { (text::energy(phase.joules)) },
            known(share),
            known(phase.grams.map(text::emissions)),
        ]);
        time.row([
            foreign(&name(phase)),
            html! { (phase.times.map_or_else(String::new, |times| times.to_string())) },
            known(phase.seconds.map(text::duration)),
            known(watts.map(|watts| format!("{} W", text::number(watts)))),
        ]);
        joules.push(bar(phase, phase.joules, text::energy(phase.joules)));
        let told = phase.seconds.map_or_else(|| UNKNOWN.to_owned(), text::duration);
        seconds.push(bar(phase, phase.seconds.unwrap_or(0.0), told));
    }
    let told = |bars: &[Bar]| {
        let told = bars.iter().map(|bar| format!("{} {}", text::line(&bar.name), bar.told));
        told.collect::<Vec<_>>().join(", ")
    };
    let (by_energy, by_time) = (told(&joules), told(&seconds));
    Ok(html! {
        (figure(&beside_names("Energy by phase", by_energy, joules), &energy)?)
        (figure(&beside_names("Time by phase", by_time, seconds), &time)?)
    })
}
