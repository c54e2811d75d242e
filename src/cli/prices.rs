//! The prices that plans are reckoned by: those that are shipped, and the project's own over them.

use crate::{
    base::{Diagnostic, SourceMap},
    cli::{
        error::{Error, Result},
        project::Project,
        settings,
        sources::RecordingSources,
    },
    lang::Sources as _,
    review::Book,
};
use std::sync::Arc;

/// Reads the prices of a project.
///
/// # Errors
/// A price file that is not there, or wrong.
pub(crate) fn read(project: &Project) -> Result<Book> {
    let mut book = Book::shipped();
    let Some((file, span)) = &project.settings.prices else { return Ok(book) };
    let sources = RecordingSources::new(Arc::new(project.sources.clone()));
    // For the places within it.
    let _ = sources.read(settings::FILE);
    let added = match sources.read(file).map(|bytes| String::from_utf8(bytes.to_vec())) {
        Ok(Ok(text)) => book.add(file, &text),
        Ok(Err(_)) => Err(unreadable(file, "it is no UTF-8 text").at(span, "named here").into()),
        Err(why) => Err(unreadable(file, &why.to_string()).at(span, "named here").into()),
    };
    let Err(problems) = added else { return Ok(book) };
    let mut texts = SourceMap::default();
    for (path, bytes) in sources.recorded().files {
        texts.insert(path.into(), String::from_utf8_lossy(&bytes).into());
    }
    Err(Error::from(problems).with_sources(texts))
}

fn unreadable(file: &str, why: &str) -> Diagnostic {
    Diagnostic::error("prices_unreadable", format!("the price file {file} cannot be read"))
        .because(why.to_owned())
        .hint("`prices` of [cost] names a file of the project; leave it out for the prices that are shipped")
}
