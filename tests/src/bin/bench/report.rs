//! What was measured: the table that is printed and the file that is kept.

use std::{fmt, path::PathBuf};

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};

/// What one leg measured.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Report {
    leg: String,
    about: String,
    series: Vec<Series>,
}

/// One figure, measured again and again.
#[derive(Debug, Serialize, Deserialize)]
struct Series {
    name: String,
    unit: String,
    values: Vec<f64>,
    /// The median may be at most this.
    aim: Option<f64>,
}

impl Report {
    pub(crate) fn new(leg: &str, about: &str) -> Self {
        Self { leg: leg.to_owned(), about: about.to_owned(), series: Vec::new() }
    }

    /// One more value of a figure.
    pub(crate) fn add(&mut self, name: &str, unit: &str, value: f64) {
        self.series(name, unit).values.push(value);
    }

    /// The ratio of two figures, value by value, and what its median may be at most.
    pub(crate) fn ratio(&mut self, name: &str, of: &str, to: &str, aim: Option<f64>) {
        let values = |name: &str| self.series.iter().find(|s| s.name == name).map_or(&[][..], |s| &s.values);
        let ratios = values(of).iter().zip(values(to)).map(|(a, b)| a / b).collect();
        self.series.push(Series { name: name.to_owned(), unit: "times".to_owned(), values: ratios, aim });
    }

    /// The difference of two figures, value by value.
    pub(crate) fn difference(&mut self, name: &str, unit: &str, of: &str, less: &str, parts: f64) {
        let values = |name: &str| self.series.iter().find(|s| s.name == name).map_or(&[][..], |s| &s.values);
        let differences: Vec<_> = values(of).iter().zip(values(less)).map(|(a, b)| (a - b) / parts).collect();
        self.series(name, unit).values = differences;
    }

    /// The ratio of two figures at one quantile.
    pub(crate) fn quantiles(&mut self, of: &str, to: &str, share: f64, aim: Option<f64>) {
        let at =
            |name: &str| self.series.iter().find(|s| s.name == name).map_or(f64::NAN, |s| quantile(&s.values, share));
        let name = format!("p{:.0}: {of}, next to {to}", share * 100.0);
        self.series.push(Series { name, unit: "times".to_owned(), values: vec![at(of) / at(to)], aim });
    }

    /// The median of a figure; NaN where there is none.
    pub(crate) fn median(&self, name: &str) -> f64 {
        self.series.iter().find(|s| s.name == name).map_or(f64::NAN, |s| quantile(&s.values, 0.5))
    }

    /// What the leg is about.
    pub(crate) fn about(&mut self, about: &str) {
        about.clone_into(&mut self.about);
    }

    /// What the median of a figure may be at most.
    pub(crate) fn aim(&mut self, name: &str, at_most: f64) {
        if let Some(series) = self.series.iter_mut().find(|s| s.name == name) {
            series.aim = Some(at_most);
        }
    }

    fn series(&mut self, name: &str, unit: &str) -> &mut Series {
        let at = self.series.iter().position(|s| s.name == name).unwrap_or_else(|| {
            self.series.push(Series { name: name.to_owned(), unit: unit.to_owned(), values: Vec::new(), aim: None });
            self.series.len() - 1
        });
        &mut self.series[at]
    }

    /// Writes `target/bench/LEG.json`.
    pub(crate) fn save(&self) -> Result<()> {
        let path = dir().join(format!("{}.json", self.leg));
        std::fs::create_dir_all(dir()).with_context(|| dir().display().to_string())?;
        std::fs::write(&path, serde_json::to_vec_pretty(self)?).with_context(|| path.display().to_string())
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "\n{}: {}", self.leg, self.about)?;
        let wide = self.series.iter().map(|s| s.name.chars().count()).max().unwrap_or(0);
        writeln!(
            f,
            "  {:wide$}  {:>9} {:>9} {:>9} {:>9}  {:7} {:>4}  aim",
            "", "min", "median", "p99", "max", "", "n"
        )?;
        for Series { name, unit, values, aim } in &self.series {
            let [min, median, p99, max] = [0.0, 0.5, 0.99, 1.0].map(|share| show(quantile(values, share)));
            write!(f, "  {name:wide$}  {min:>9} {median:>9} {p99:>9} {max:>9}  {unit:7} {:>4}", values.len())?;
            if let Some(aim) = aim {
                let met = if quantile(values, 0.5) <= *aim { "met" } else { "MISSED" };
                write!(f, "  at most {}: {met}", show(*aim))?;
            }
            writeln!(f)?;
        }
        Ok(())
    }
}

/// Where the raw figures are kept.
pub(crate) fn dir() -> PathBuf {
    gatehost_tests::target().join("bench")
}

/// The value below which this share of the values lies; NaN where there are none.
pub(crate) fn quantile(values: &[f64], share: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let last = sorted.len().saturating_sub(1);
    #[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "an index")]
    let at = (last as f64 * share).round() as usize;
    sorted.get(at).copied().unwrap_or(f64::NAN)
}

fn show(value: f64) -> String {
    match value.abs() {
        large if large >= 1000.0 => format!("{value:.0}"),
        medium if medium >= 100.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}
