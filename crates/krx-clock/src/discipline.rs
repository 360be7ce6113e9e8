//! What the kernel's answer means. Pure.

/// The part of `struct timex` (adjtimex(2)) that is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    /// Flags.
    pub(crate) status: i32,
    /// What is still to be corrected, in nanoseconds with `STA_NANO` among the flags, otherwise in microseconds.
    pub(crate) offset: i64,
    /// The most that the clock may be off.
    pub(crate) max_error_us: i64,
}

/// What keeps the kernel's clock in step, and how well.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Discipline {
    /// Whether the clock is kept in step with a source of time.
    pub is_synchronised: bool,
    /// By how much the clock is still being put right, µs; `None` when the kernel does not do that. It does for ntpd and
    /// systemd-timesyncd, but not for chronyd.
    pub offset_us: Option<i64>,
    /// The most that the clock may be off, as estimated by what keeps it in step, µs; `None` when nothing does.
    pub max_error_us: Option<i64>,
}

/// The kernel's upper limit on the error. It rises to this when nothing has corrected the clock for some hours, and is set
/// to it at the start and when somebody sets the clock.
const NO_ESTIMATE_US: i64 = 16_000_000;

impl Discipline {
    /// The flag `STA_UNSYNC` is not looked at: chronyd without `rtcsync` sets it although the clock is synchronised, so that
    /// the kernel leaves the hardware clock alone. The error tells for every program; timedatectl goes by it, too.
    pub(crate) fn of(answer: &Answer) -> Self {
        let has = |flag| answer.status & flag != 0;
        let is_synchronised = (0..NO_ESTIMATE_US).contains(&answer.max_error_us) && !has(libc::STA_CLOCKERR);
        let offset_us = if has(libc::STA_NANO) {
            answer.offset / 1000
        } else {
            answer.offset
        };
        Self {
            is_synchronised,
            offset_us: (is_synchronised && has(libc::STA_PLL)).then_some(offset_us),
            max_error_us: is_synchronised.then_some(answer.max_error_us),
        }
    }
}

#[cfg(test)]
mod tests {
    use libc::{STA_CLOCKERR, STA_NANO, STA_PLL, STA_UNSYNC};

    use super::*;

    fn of(status: i32, offset: i64, max_error_us: i64) -> Discipline {
        Discipline::of(&Answer {
            status,
            offset,
            max_error_us,
        })
    }

    fn synchronised(offset_us: Option<i64>, max_error_us: i64) -> Discipline {
        Discipline {
            is_synchronised: true,
            offset_us,
            max_error_us: Some(max_error_us),
        }
    }

    const NOT: Discipline = Discipline {
        is_synchronised: false,
        offset_us: None,
        max_error_us: None,
    };

    #[test]
    fn what_a_program_that_sets_the_clock_leaves_is_told() {
        // systemd-timesyncd and ntpd, which leave the correction to the kernel.
        assert_eq!(
            of(STA_PLL | STA_NANO, -479_672, 175_500),
            synchronised(Some(-479), 175_500)
        );
        assert_eq!(of(STA_PLL, -479, 175_500), synchronised(Some(-479), 175_500));
        // chronyd, with and without `rtcsync`.
        assert_eq!(of(STA_NANO, 0, 1_234), synchronised(None, 1_234));
        assert_eq!(of(STA_NANO | STA_UNSYNC, 0, 1_234), synchronised(None, 1_234));
    }

    #[test]
    fn an_unsynchronised_clock_has_no_figures() {
        // After the start, after a step, and after hours without a source.
        assert_eq!(of(STA_UNSYNC, 0, 16_000_000), NOT);
        assert_eq!(of(STA_PLL | STA_UNSYNC | STA_NANO, 77, 16_000_000), NOT);
        assert_eq!(of(STA_PLL | STA_CLOCKERR, 77, 500), NOT);
        assert_eq!(of(STA_PLL, 77, -1), NOT);
        assert!(of(STA_PLL, 77, 15_999_999).is_synchronised);
    }
}
