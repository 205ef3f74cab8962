//! The five fields of a schedule, and which of them is wrong.

use croner::{
    Cron,
    parser::{CronParser, Seconds, Year},
};

/// The fields: what they are called, and what stands in them.
const FIELDS: [(&str, &str); 5] = [
    ("minute", "0 to 59"),
    ("hour", "0 to 23"),
    ("day of month", "1 to 31"),
    ("month", "1 to 12 or JAN to DEC"),
    ("day of week", "0 to 7 or SUN to SAT"),
];

/// Reads a schedule, or tells what is wrong with it in words of its own: those of the parser name no field.
pub(crate) fn parse(text: &str) -> Result<Cron, String> {
    if let Ok(cron) = read(text) {
        return Ok(cron);
    }
    let fields: Vec<_> = text.split_whitespace().collect();
    if fields.len() != FIELDS.len() {
        let names = FIELDS.map(|(name, _)| name).join(", ");
        let short = "@hourly, @daily, @weekly, @monthly or @yearly";
        return Err(format!("{text:?} is no schedule; write five fields ({names}), or {short}"));
    }
    let is_wrong = |at: usize, value: &str| {
        let mut alone = ["*"; 5];
        alone[at] = value;
        read(&alone.join(" ")).is_err()
    };
    for (at, ((name, range), field)) in FIELDS.into_iter().zip(fields).enumerate() {
        // Of a list the entry that is wrong, if it is one of them.
        if let Some(value) = field.split(',').chain([field]).find(|value| is_wrong(at, value)) {
            let right = format!("write {range}, *, or a list, a range or a step of such");
            return Err(format!("{text:?}: the {name} cannot be {value:?}; {right}"));
        }
    }
    Err(format!("{text:?} is no schedule; write one such as \"0 2 * * *\""))
}

fn read(text: &str) -> Result<Cron, croner::errors::CronError> {
    CronParser::builder().seconds(Seconds::Disallowed).year(Year::Disallowed).build().parse(text)
}
