//! What the kernel's answer means. Pure.

/// The fields of `struct timex` (adjtimex(2)) that count here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    /// The `STA_` flags.
    pub(crate) status: i32,
    /// What is still to be corrected, in nanoseconds with `STA_NANO` among the flags, otherwise in microseconds.
    pub(crate) offset: i64,
    /// The most that the clock may be off.
    pub(crate) max_error_us: i64,
}

/// Whether anything keeps the kernel's clock in step with a source of time, and how well.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Discipline {
    /// A program does.
    Synchronised {
        /// The most that the clock may be off, as that program estimates, µs.
        max_error_us: i64,
        /// By how much the kernel is still putting the clock right, µs; `None` when that is left to the program. ntpd and
        /// systemd-timesyncd have the kernel do it, chronyd does not.
        offset_us: Option<i64>,
    },
    /// Nothing does. What the kernel then shows as error and offset is nobody's estimate.
    Unsynchronised,
}

/// The kernel's upper limit on the error. It rises to this when nothing has corrected the clock for some hours, and is set
/// to it at the start and when somebody sets the clock.
const NO_ESTIMATE_US: i64 = 16_000_000;

impl Discipline {
    /// The flag `STA_UNSYNC` is not looked at: chronyd without `rtcsync` sets it although the clock is synchronised, so that
    /// the kernel leaves the hardware clock alone. The error tells with every program, and timedatectl goes by it, too.
    pub(crate) fn of(answer: &Answer) -> Self {
        let has = |flag| answer.status & flag != 0;
        if !(0..NO_ESTIMATE_US).contains(&answer.max_error_us) || has(libc::STA_CLOCKERR) {
            return Self::Unsynchronised;
        }
        let per_us = if has(libc::STA_NANO) { 1000 } else { 1 };
        Self::Synchronised {
            max_error_us: answer.max_error_us,
            offset_us: has(libc::STA_PLL).then_some(answer.offset / per_us),
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
        Discipline::Synchronised {
            max_error_us,
            offset_us,
        }
    }

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
        assert_eq!(of(STA_UNSYNC, 0, 16_000_000), Discipline::Unsynchronised);
        assert_eq!(
            of(STA_PLL | STA_UNSYNC | STA_NANO, 77, 16_000_000),
            Discipline::Unsynchronised
        );
        assert_eq!(of(STA_PLL | STA_CLOCKERR, 77, 500), Discipline::Unsynchronised);
        assert_eq!(of(STA_PLL, 77, -1), Discipline::Unsynchronised);
        assert_eq!(of(STA_PLL, 77, 15_999_999), synchronised(Some(77), 15_999_999));
    }
}
