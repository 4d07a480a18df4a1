// SPDX-License-Identifier: Apache-2.0
//! Jobs as one HTML file that stands alone, for the screen and for paper.
//!
//! The figures are those of the summary, line by line; each plot has its table. Names,
//! commands and labels are others' text and are escaped as such by [`crate::html`].

mod plots;

use super::{Reported, cpus, facility_kwh, gpus, method, sum};
use crate::html::plot::PlotError;
use crate::html::{Markup, Table, Tile, document, foreign, html, pairs, remarks, tiles};
use crate::record::summary::{figure_lines, outcome, quality_lines};
use crate::record::{Record, import, text};

const UNKNOWN: &str = "not known";

/// The file.
///
/// # Errors
/// Where a plot cannot be drawn.
pub fn file(jobs: &[Reported]) -> Result<String, PlotError> {
    let records: Vec<Record> = jobs.iter().map(|job| job.record.clone()).collect();
    let title = match &records[..] {
        [one] => format!("Energy and carbon emissions of {}", text::line(&one.job.name)),
        several => format!("Energy and carbon emissions of {} jobs", several.len()),
    };
    let mut parts = Vec::new();
    for (place, reported) in jobs.iter().enumerate() {
        parts.push(job(reported, place, jobs.len() > 1)?);
    }
    let body = html! {
        @if let [record] = &records[..] {
            h1 { "Energy and carbon emissions of " (foreign(&record.job.name)) }
            p.lead { (outcome(record)) }
        } @else {
            h1 { (title) }
            (overview(&records))
        }
        @for part in parts { (part) }
        section.job[jobs.len() > 1] {
            h2 { "Method" }
            (remarks(&method::lines(&records)))
        }
    };
    Ok(document(&title, &body))
}

/// All jobs in one table, and what they come to.
fn overview(records: &[Record]) -> Markup {
    let mut table = Table::new("Jobs; CO2e is of the electricity, that of the hardware beside it")
        .left("Job")
        .left("Started")
        .right("Time")
        .right("Energy")
        .right("± (95 %)")
        .right("g/kWh")
        .right("CO2e")
        .right("Hardware");
    for (place, record) in records.iter().enumerate() {
        let emissions = &record.emissions;
        let mean = emissions.intensity.as_ref().map(|one| one.mean_grams_per_kwh);
        table.row([
            html! { a href=(format!("#job-{place}")) { (foreign(&record.job.name)) } },
            moment(&record.job.started_at),
            known(record.job.duration_seconds.map(text::duration)),
            known(record.energy.total_joules.map(text::energy)),
            known(record.energy.uncertainty_joules.map(text::uncertainty)),
            known(mean.map(text::number)),
            known(emissions.operational_grams.map(text::emissions)),
            known(emissions.embodied_grams.map(text::emissions)),
        ]);
    }
    let width = sum(records, |record| record.energy.uncertainty_joules);
    let most = width.map_or_else(String::new, |width| {
        format!("± {} at most: the sum over jobs (95 %)", text::uncertainty(width))
    });
    let whole = |name: &str, value: Option<String>, remark: String| Tile {
        name: name.to_owned(),
        value: value.unwrap_or_else(|| UNKNOWN.to_owned()),
        remark,
    };
    let energy = sum(records, |record| record.energy.total_joules);
    let facility = sum(records, facility_kwh).map(|kwh| text::energy(kwh * super::KWH));
    let operational = sum(records, |record| record.emissions.operational_grams);
    let unsettled = sum(records, |record| record.emissions.unsettled_grams);
    let embodied = sum(records, |record| record.emissions.embodied_grams);
    html! {
        (tiles(&[
            whole("Energy", energy.map(text::energy), most),
            whole("With the building", facility, "with the PUE where it is known".to_owned()),
            whole("CO2e of the electricity", operational.map(text::emissions), settled(unsettled)),
            whole("CO2e of the hardware", embodied.map(text::emissions), "by the time held".to_owned()),
        ]))
        (table.html())
    }
}

/// One job.
fn job(reported: &Reported, place: usize, one_of_several: bool) -> Result<Markup, PlotError> {
    let record = &reported.record;
    Ok(html! {
        section.job[one_of_several] id=(format!("job-{place}")) {
            @if one_of_several {
                h2 { (foreign(&record.job.name)) }
                p.lead { (outcome(record)) }
            }
            (tiles(&main_figures(record)))
            (facts(record))
            (figures(record, one_of_several))
            (plots::all(reported, one_of_several)?)
            (work(record, one_of_several))
            (quality(record, one_of_several))
        }
    })
}

fn main_figures(record: &Record) -> [Tile; 4] {
    let (energy, emissions) = (&record.energy, &record.emissions);
    let tile = |name: &str, value: Option<String>, remark: Vec<Option<String>>| Tile {
        name: name.to_owned(),
        value: value.unwrap_or_else(|| UNKNOWN.to_owned()),
        remark: remark.into_iter().flatten().collect::<Vec<_>>().join(", "),
    };
    let width =
        energy.uncertainty_joules.map(|width| format!("± {} (95 %)", text::uncertainty(width)));
    let pue = energy.pue.as_ref();
    let pue = pue.map_or_else(
        || "no PUE is known".to_owned(),
        |pue| format!("PUE {} ({})", text::number(pue.value), pue.source),
    );
    let grid = emissions.intensity.as_ref().map(|grid| {
        format!("{} {} g/kWh ({})", grid.zone, text::number(grid.mean_grams_per_kwh), grid.signal)
    });
    let range = emissions.embodied.as_ref().map(|part| {
        let (low, high) = (text::emissions(part.lowest_grams), text::emissions(part.highest_grams));
        format!("by the time held, {low} to {high}")
    });
    let joules = energy.total_joules.map(text::energy);
    let facility = energy.facility_joules.map(text::energy);
    let embodied = emissions.embodied_grams.map(text::emissions);
    [
        tile("Energy", joules, vec![width, energy.provenance.clone()]),
        tile("With the building", facility, vec![Some(pue)]),
        tile(
            "CO2e of the electricity",
            emissions.operational_grams.map(text::emissions),
            vec![grid, Some(settled(emissions.unsettled_grams)).filter(|words| !words.is_empty())],
        ),
        tile("CO2e of the hardware", embodied, vec![range]),
    ]
}

/// How much of the emissions may still change.
fn settled(unsettled: Option<f64>) -> String {
    match unsettled {
        Some(0.0) => "settled".to_owned(),
        Some(grams) => format!("{} not final", text::emissions(grams)),
        None => String::new(),
    }
}

/// Who, what, where.
fn facts(record: &Record) -> Markup {
    let job = &record.job;
    let mut facts = vec![
        ("Job", html! { code { (text::line(&job.id)) } " (" (text::line(&job.origin)) ")" }),
        ("User", foreign(&job.user)),
    ];
    facts.extend(
        import::counted_by(&job.origin)
            .map(|whose| ("Origin", html! { "imported: " (whose) " counted it, not aimeter" })),
    );
    facts.extend(job.project.as_ref().map(|project| ("Project", foreign(project))));
    if !job.labels.is_empty() {
        let labels = html! {
            @for (place, (key, value)) in job.labels.iter().enumerate() {
                @if place > 0 { ", " }
                (foreign(&format!("{key}={value}")))
            }
        };
        facts.push(("Labels", labels));
    }
    if !job.command.is_empty() {
        facts.push(("Command", html! { code { bdi { (text::line(&job.command.join(" "))) } } }));
    }
    let ended = job.ended_at.as_deref().map(moment);
    facts.push(("Time", html! {
        (moment(&job.started_at)) " to " (ended.unwrap_or_else(|| html! { (job.state) })) " (UTC)"
    }));
    let host = &record.host;
    let machine = [host.name.as_deref(), host.os.as_deref()];
    let machine: Vec<String> = machine.into_iter().flatten().map(text::line).collect();
    if !machine.is_empty() {
        facts.push(("Machine", foreign(&machine.join(", "))));
    }
    let one = std::slice::from_ref(record);
    let hardware: Vec<String> = [gpus(one), cpus(one)].into_iter().flatten().collect();
    if !hardware.is_empty() {
        facts.push(("Hardware", foreign(&hardware.join(", "))));
    }
    pairs(&facts)
}

/// The lines of the summary.
fn figures(record: &Record, one_of_several: bool) -> Markup {
    let mut table = Table::new("Figures, each with where it comes from")
        .left("What")
        .right("Figure")
        .right("In Wh")
        .right("± (95 %)")
        .left("How it comes about");
    for line in figure_lines(record) {
        let [name, figure, hours, width] = line.cells;
        let name = if name.starts_with(' ') { format!("– {}", name.trim()) } else { name };
        table.row([
            html! { (name) },
            html! { (figure) },
            html! { (hours.trim_matches(['(', ')'])) },
            html! { (width.trim_start_matches("± ")) },
            foreign(&line.remark),
        ]);
    }
    html! { (heading("Figures", one_of_several)) (table.html()) }
}

/// What a unit of work took.
fn work(record: &Record, one_of_several: bool) -> Markup {
    let mut table = Table::new("Units of work that the job counted")
        .left("Unit")
        .left("Phase")
        .right("Count")
        .right("Energy each")
        .right("CO2e each");
    for part in &record.work {
        table.row([
            foreign(&part.unit),
            html! { "all" },
            html! { (part.count) },
            known(part.joules_per_unit.map(text::energy)),
            known(part.grams_per_unit.map(text::emissions)),
        ]);
        for phase in &part.phases {
            table.row([
                foreign(&part.unit),
                foreign(&phase.name),
                html! { (phase.count) },
                known(phase.joules_per_unit.map(text::energy)),
                html! {},
            ]);
        }
    }
    html! { @if !table.is_empty() { (heading("Work", one_of_several)) (table.html()) } }
}

/// Coverage, gaps, remarks.
fn quality(record: &Record, one_of_several: bool) -> Markup {
    let kinds: Vec<String> = record.quality.coverage.iter().map(|kind| text::kind(kind)).collect();
    let counted = match kinds.is_empty() {
        true => "Nothing was counted".to_owned(),
        false => format!("Counted: {}", kinds.join(", ")),
    };
    let mut lines = vec![counted];
    lines.extend(quality_lines(record).into_iter().map(|line| match line.cells[0].as_str() {
        "note" => line.remark,
        label => format!("{label}: {}", line.remark),
    }));
    html! { (heading("Coverage and remarks", one_of_several)) (remarks(&lines)) }
}

/// The heading of a part of a job: below the job's own where there are several.
fn heading(words: &str, one_of_several: bool) -> Markup {
    html! { @if one_of_several { h3 { (words) } } @else { h2.part { (words) } } }
}

fn known(figure: Option<String>) -> Markup {
    html! { (figure.unwrap_or_else(|| UNKNOWN.to_owned())) }
}

/// A record's time as people read it.
fn moment(text: &str) -> Markup {
    let short = text.parse::<jiff::Timestamp>().ok();
    let short = short.map(|time| time.strftime("%Y-%m-%d %H:%M:%S").to_string());
    html! { span.whole { (short.unwrap_or_else(|| text::line(text))) } }
}
