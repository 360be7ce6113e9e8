//! The recorder's program; what it does is in the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    ExitCode::from(krx_recorder::process::on_a_stack(krx_recorder::main) as u8)
}
