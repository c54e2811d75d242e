//! Figures as the page shows them.

use std::time::Duration;

pub(crate) fn seconds(wall: Duration) -> String {
    let seconds = wall.as_secs_f64();
    match seconds {
        ..0.1 => format!("{seconds:.3} s"),
        0.1..10.0 => format!("{seconds:.2} s"),
        _ => format!("{seconds:.1} s"),
    }
}

pub(crate) fn millis(wall: Duration) -> String {
    format!("{:.2} ms", wall.as_secs_f64() * 1e3)
}

pub(crate) fn mebibytes(kib: Option<u64>) -> String {
    kib.map_or_else(|| "-".to_owned(), |kib| format!("{} MiB", kib.div_ceil(1024)))
}

pub(crate) fn times(ratio: f64) -> String {
    if ratio < 10.0 { format!("{ratio:.1}x") } else { format!("{ratio:.0}x") }
}
