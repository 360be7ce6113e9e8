//! The recorder's program. The library does the work.

use std::process::ExitCode;

fn main() -> ExitCode {
    ExitCode::from(krx_recorder::process::on_a_stack(krx_recorder::main) as u8)
}
