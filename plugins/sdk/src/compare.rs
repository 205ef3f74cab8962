//! Numbers held to what a config asks of them.

use std::{cmp::Ordering, fmt};

use serde::Deserialize;

use crate::ConfigError;

/// What a number has to be: each that is given has to hold. In a config, an object with fields of these names in camelCase.
#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub struct Bounds {
    /// It is this.
    pub equals: Option<f64>,
    /// It is not this.
    pub not_equals: Option<f64>,
    /// It is less than this.
    pub less_than: Option<f64>,
    /// It is this or less.
    pub less_or_equal: Option<f64>,
    /// It is greater than this.
    pub greater_than: Option<f64>,
    /// It is this or greater.
    pub greater_or_equal: Option<f64>,
}

/// What comes of several numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Several {
    /// They are right, or there are none.
    Right,
    /// They are not: the index of the first that is not, and what it would have to be, such as `not less than 10`.
    Broken(usize, String),
    /// One is not a number, and that decides.
    NotANumber,
}

impl Bounds {
    /// Whether nothing is asked for.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Whether a number is what it has to be. What is not a number never is.
    pub fn hold(&self, value: f64) -> bool {
        self.broken(value).is_none()
    }

    /// What a number is not and would have to be, such as `not less than 10`; nothing where it is right.
    pub fn broken(&self, value: f64) -> Option<String> {
        let all = self.all().into_iter();
        let mut asked = all.filter_map(|(_, words, bound, holds)| bound.map(|bound| (words, bound, holds)));
        asked
            .find(|(_, bound, holds)| !value.partial_cmp(bound).is_some_and(holds))
            .map(|(words, bound, _)| format!("not {words}{bound}"))
    }

    /// Holds several numbers to them: each has to be right, or `any` one of them. What is not a number is no answer, and
    /// one only where no other number decides.
    pub fn judge(&self, values: &[f64], any: bool) -> Several {
        let (has_nan, is_right) = (values.iter().any(|value| value.is_nan()), |value: &f64| self.hold(*value));
        let broken = |(at, value): (usize, &f64)| Some((at, self.broken(*value).filter(|_| !value.is_nan())?));
        match values.iter().enumerate().find_map(broken) {
            _ if any && values.iter().any(is_right) => Several::Right,
            Some((at, what)) if !any || !has_nan => Several::Broken(at, what),
            None if !has_nan => Several::Right,
            _ => Several::NotANumber,
        }
    }

    /// What is wrong with them in a config, where they stand at a JSON pointer: none is given, or no number is right.
    pub fn errors(&self, at: &str) -> Vec<ConfigError> {
        if self.is_empty() {
            let names = self.all().map(|(name, ..)| name).join(", ");
            return vec![ConfigError::new(at, format!("compares with nothing; give one of {names}"))];
        }
        let lower = [self.equals, self.greater_than, self.greater_or_equal];
        let upper = [self.equals, self.less_than, self.less_or_equal];
        let nothing_between = |low: f64, high: f64| {
            // An open bound leaves out only itself, and `notEquals` one number: of two inner ones, one is right.
            low > high || ![0.0, 0.25, 0.5, 1.0].iter().any(|part| self.hold(low * (1.0 - part) + high * part))
        };
        let pairs =
            lower.into_iter().flatten().flat_map(|low| upper.into_iter().flatten().map(move |high| (low, high)));
        let mut errors = Vec::new();
        if pairs.into_iter().any(|(low, high)| nothing_between(low, high)) {
            errors.push(ConfigError::new(at, "asks for what no number is; widen or remove one of the bounds"));
        }
        errors
    }

    /// The name in a config, the words before the bound, the bound, and what holds.
    #[allow(clippy::type_complexity, reason = "read a few lines above only")]
    fn all(&self) -> [(&'static str, &'static str, Option<f64>, fn(Ordering) -> bool); 6] {
        [
            ("equals", "", self.equals, Ordering::is_eq),
            ("notEquals", "other than ", self.not_equals, Ordering::is_ne),
            ("lessThan", "less than ", self.less_than, Ordering::is_lt),
            ("lessOrEqual", "at most ", self.less_or_equal, Ordering::is_le),
            ("greaterThan", "greater than ", self.greater_than, Ordering::is_gt),
            ("greaterOrEqual", "at least ", self.greater_or_equal, Ordering::is_ge),
        ]
    }
}

/// Such as `less than 10 and other than 3`.
impl fmt::Display for Bounds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let given = self.all().into_iter().filter_map(|(_, words, bound, _)| Some(format!("{words}{}", bound?)));
        f.write_str(&given.collect::<Vec<_>>().join(" and "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_bound_holds_on_its_side_and_at_its_edge_as_its_name_says() {
        let none = Bounds::default();
        for (bounds, right) in [
            (Bounds { equals: Some(5.0), ..none }, [false, true, false]),
            (Bounds { not_equals: Some(5.0), ..none }, [true, false, true]),
            (Bounds { less_than: Some(5.0), ..none }, [true, false, false]),
            (Bounds { less_or_equal: Some(5.0), ..none }, [true, true, false]),
            (Bounds { greater_than: Some(5.0), ..none }, [false, false, true]),
            (Bounds { greater_or_equal: Some(5.0), ..none }, [false, true, true]),
            (Bounds { greater_than: Some(4.0), less_than: Some(6.0), ..none }, [false, true, false]),
        ] {
            assert_eq!([4.0, 5.0, 6.0].map(|value| bounds.hold(value)), right, "{bounds:?}");
            assert!(!bounds.hold(f64::NAN), "{bounds:?}");
        }
    }

    #[test]
    fn what_is_not_a_number_decides_only_where_no_number_does() {
        let bounds = Bounds { less_than: Some(10.0), ..Bounds::default() };
        let (nan, broken) = (f64::NAN, |at| Several::Broken(at, "not less than 10".to_owned()));
        for (values, all, any) in [
            (&[5.0, 6.0][..], Several::Right, Several::Right),
            (&[5.0, 12.0], broken(1), Several::Right),
            (&[11.0, 12.0], broken(0), broken(0)),
            (&[nan, 5.0], Several::NotANumber, Several::Right),
            (&[nan, 12.0], broken(1), Several::NotANumber),
            (&[nan], Several::NotANumber, Several::NotANumber),
        ] {
            assert_eq!((bounds.judge(values, false), bounds.judge(values, true)), (all, any), "{values:?}");
        }
    }

    #[test]
    fn infinities_are_numbers() {
        let above = Bounds { greater_than: Some(1e300), ..Bounds::default() };
        assert!(above.hold(f64::INFINITY) && !above.hold(f64::NEG_INFINITY));
    }

    #[test]
    fn what_is_broken_is_told() {
        let bounds = Bounds { less_than: Some(10.0), not_equals: Some(3.5), ..Bounds::default() };
        assert_eq!(bounds.broken(12.0).as_deref(), Some("not less than 10"));
        assert_eq!(bounds.broken(3.5).as_deref(), Some("not other than 3.5"));
        assert_eq!(bounds.broken(4.0), None);
        assert_eq!(bounds.to_string(), "other than 3.5 and less than 10");
    }

    #[test]
    fn bounds_that_nothing_can_meet_are_a_mistake() {
        let none = Bounds::default();
        for wrong in [
            none,
            Bounds { less_than: Some(1.0), greater_than: Some(2.0), ..none },
            Bounds { less_than: Some(1.0), greater_or_equal: Some(1.0), ..none },
            Bounds { equals: Some(1.0), greater_than: Some(2.0), ..none },
            Bounds { equals: Some(1.0), not_equals: Some(1.0), ..none },
        ] {
            assert_eq!(wrong.errors("/x").len(), 1, "{wrong:?}");
        }
        for right in [
            Bounds { less_or_equal: Some(1.0), greater_or_equal: Some(1.0), ..none },
            Bounds { equals: Some(1.0), greater_than: Some(0.0), ..none },
            Bounds { less_than: Some(2.0), greater_than: Some(0.0), not_equals: Some(1.0), ..none },
        ] {
            assert!(right.errors("").is_empty(), "{right:?}");
        }
    }
}
