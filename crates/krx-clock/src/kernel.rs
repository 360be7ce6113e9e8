//! The one call that only C has. No crate that is widely used wraps it (docs/adr/0048).

use std::io;
use std::mem::MaybeUninit;

use crate::discipline::Answer;

/// Asks for everything, and sets nothing.
#[expect(
    unsafe_code,
    reason = "neither the standard library nor rustix has adjtimex(2)"
)]
pub(crate) fn ask() -> io::Result<Answer> {
    let mut timex = MaybeUninit::<libc::timex>::zeroed();
    // SAFETY: `timex` consists of integers, for which zeros are valid, and is ours alone. The call reads and writes this
    // struct only; with `modes` 0 it sets nothing.
    let (state, timex) = unsafe {
        let state = libc::adjtimex(timex.as_mut_ptr());
        (state, timex.assume_init())
    };
    if state < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(Answer {
        status: timex.status,
        offset: timex.offset,
        max_error_us: timex.maxerror,
    })
}
