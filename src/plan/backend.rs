//! What receives the traffic of a colour, by the `backend` block of its rollout: for the plan, which looks whether it will be there, and
//! for the executor, which binds it.

use crate::{
    base::{Address, Value},
    kinds::release_name,
    world::Backend,
};

/// The backend of a colour. `rollout` is its evaluated `rollout` block; `own` gives what the thing itself is called, `name` and
/// `namespace`. `None` where there is no such block.
///
/// # Errors
/// In words, where a part of it is missing.
pub fn backend(
    rollout: Option<&Value>,
    address: &Address,
    own: impl Fn(&str) -> Option<String>,
) -> Result<Option<Backend>, String> {
    let Some(backend) = rollout.and_then(|v| v.get("backend")).filter(|b| !b.is_null()) else {
        return Ok(None);
    };
    let unit = address.with_color(None);
    let given = |name: &str| text(backend.get(name));
    let service = given("service").ok_or_else(|| format!("{unit}: `backend` names no service"))?;
    // What came from a rolling strategy bears its old name, and so does what it brings.
    let wanted = release_name(address);
    let service = match own("name").filter(|name| *name != wanted) {
        Some(name) if service.starts_with(&wanted) => service.replacen(&wanted, &name, 1),
        _ => service,
    };
    let namespace = given("namespace").or_else(|| own("namespace"));
    let namespace = namespace.ok_or_else(|| format!("{unit}: `backend` needs a namespace"))?;
    let port = given("port").unwrap_or_else(|| "80".to_owned());
    Ok(Some(Backend { service, namespace, port }))
}

/// A text, or a number as one.
#[must_use]
pub fn text(value: Option<&Value>) -> Option<String> {
    let value = value.filter(|v| !v.is_null())?;
    value.as_str().map(str::to_owned).or_else(|| value.as_i64().map(|n| n.to_string()))
}
