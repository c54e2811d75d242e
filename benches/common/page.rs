//! `docs/benchmarks.md`: each benchmark writes a section of its own and leaves the others as they are.

use std::{fs, path::Path};

const HEAD: &str = "\
<!-- Written by `make bench`. Change the programs in benches/, not this page. -->
# Benchmarks

Whole processes of Terrace and its peers, in the same run on the same machine. `make bench` measures again and rewrites
this page; nothing in it is written by hand.
";

/// Writes a section, in the place of the one of this name.
pub(crate) fn write(name: &str, section: &str) -> Result<(), String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/benchmarks.md");
    let former = fs::read_to_string(&path).unwrap_or_default();
    let text = replaced(&former, name, section);
    fs::write(&path, text).map_err(|error| format!("{}: {error}", path.display()))?;
    println!("wrote the section `{name}` of docs/benchmarks.md");
    Ok(())
}

fn replaced(former: &str, name: &str, section: &str) -> String {
    let (begin, end) = (format!("<!-- begin {name} -->\n"), format!("<!-- end {name} -->\n"));
    let section = format!("{begin}\n{}\n\n{end}", section.trim());
    let place = former.find(&begin).zip(former.find(&end).map(|at| at + end.len()));
    match place {
        Some((from, to)) => format!("{}{section}{}", &former[..from], &former[to..]),
        None if former.starts_with(HEAD) => format!("{}\n\n{section}", former.trim_end()),
        None => format!("{HEAD}\n{section}"),
    }
}
