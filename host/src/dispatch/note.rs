//! What a note is called.

use super::NoteKind;
use crate::decide::Status;

impl NoteKind {
    /// Every kind.
    pub const ALL: [Self; 17] = [
        Self::Turned(Status::True),
        Self::Turned(Status::False),
        Self::Turned(Status::Unknown),
        Self::Fault,
        Self::Stale,
        Self::Quarantined,
        Self::QuarantineEnded,
        Self::HeldByBudget,
        Self::HeldByDamper,
        Self::Contested,
        Self::Restarted,
        Self::Overridden,
        Self::OverrideEnded,
        Self::OverrideRefused,
        Self::NotAnswered,
        Self::DryRunDiffers,
        Self::ReadyDisagrees,
    ];

    /// One word, the same in Events, metrics and the log.
    pub fn reason(self) -> &'static str {
        match self {
            Self::Turned(Status::True) => "GateTrue",
            Self::Turned(Status::False) => "GateFalse",
            Self::Turned(Status::Unknown) => "GateUnknown",
            Self::Fault => "GateFault",
            Self::Stale => "GateStale",
            Self::Quarantined => "Quarantined",
            Self::QuarantineEnded => "QuarantineEnded",
            Self::HeldByBudget => "HeldByBudget",
            Self::HeldByDamper => "HeldByDamper",
            Self::Contested => "GateContested",
            Self::Restarted => "Restarted",
            Self::Overridden => "Overridden",
            Self::OverrideEnded => "OverrideEnded",
            Self::OverrideRefused => "OverrideRefused",
            Self::NotAnswered => "GateNotAnswered",
            Self::DryRunDiffers => "DryRunDiffers",
            Self::ReadyDisagrees => "ReadyDisagrees",
        }
    }

    /// Whether somebody should look. An answer is none of these cases, whatever it is.
    pub fn is_warning(self) -> bool {
        match self {
            Self::Turned(_) | Self::QuarantineEnded | Self::Restarted | Self::OverrideEnded | Self::DryRunDiffers => {
                false
            }
            Self::Fault
            | Self::Stale
            | Self::Quarantined
            | Self::HeldByBudget
            | Self::HeldByDamper
            | Self::Contested
            | Self::Overridden
            | Self::OverrideRefused
            | Self::NotAnswered
            | Self::ReadyDisagrees => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn each_kind_has_a_word_of_its_own() {
        let words: BTreeSet<_> = NoteKind::ALL.iter().map(|kind| kind.reason()).collect();
        assert_eq!(words.len(), NoteKind::ALL.len());
        assert!(words.iter().all(|word| word.bytes().all(|b| b.is_ascii_alphabetic())));
    }
}
