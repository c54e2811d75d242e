//! Version constraints as Terraform writes them: `>= 0.1`, `~> 1.2`, `>= 1.0, < 2.0, != 1.3.0`.

use semver::Version;

/// Why a text is no constraint or no version.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is no {what}")]
pub struct VersionError {
    text: String,
    what: &'static str,
}

/// Whether a version meets a constraint.
///
/// # Errors
/// Where one of them cannot be read. A version that does not meet the constraint is no error.
pub fn meets(version: &str, constraint: &str) -> Result<bool, VersionError> {
    let running = Version::parse(version).map_err(|_| VersionError { text: version.to_owned(), what: "version" })?;
    let mut all = true;
    for part in constraint.split(',') {
        all &= part_meets(&running, part.trim())
            .ok_or_else(|| VersionError { text: constraint.to_owned(), what: "version constraint" })?;
    }
    Ok(all)
}

fn part_meets(running: &Version, part: &str) -> Option<bool> {
    let at = part.find(|c: char| c.is_ascii_digit())?;
    let (operator, text) = part.split_at(at);
    let (wanted, given) = read(text)?;
    // A pre-release counts only where the constraint names it exactly.
    let operator = operator.trim();
    if !running.pre.is_empty() && *running != wanted && operator != "!=" {
        return Some(false);
    }
    Some(match operator {
        "" | "=" => *running == wanted,
        "!=" => *running != wanted,
        ">" => *running > wanted,
        ">=" => *running >= wanted,
        "<" => *running < wanted,
        "<=" => *running <= wanted,
        "~>" => {
            let limit = match given {
                1 => return Some(*running >= wanted),
                2 => Version::new(wanted.major.checked_add(1)?, 0, 0),
                _ => Version::new(wanted.major, wanted.minor.checked_add(1)?, 0),
            };
            *running >= wanted && *running < limit
        }
        _ => return None,
    })
}

/// A version of one to three numbers, and how many there were.
fn read(text: &str) -> Option<(Version, usize)> {
    let (numbers, behind) = text.split_at(text.find(['-', '+']).unwrap_or(text.len()));
    let given = numbers.split('.').count();
    let full = match given {
        1 => format!("{numbers}.0.0{behind}"),
        2 => format!("{numbers}.0{behind}"),
        3 => text.to_owned(),
        _ => return None,
    };
    Version::parse(&full).ok().map(|version| (version, given))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn constraints_hold_as_terraform_reads_them() {
        for (version, constraint, holds) in [
            ("0.1.0", ">= 0.1", true),
            ("0.1.0", ">= 0.2", false),
            ("1.9.0", "~> 1.2", true),
            ("2.0.0", "~> 1.2", false),
            ("1.2.9", "~> 1.2.3", true),
            ("1.3.0", "~> 1.2.3", false),
            ("1.3.0", ">= 1.0, < 2.0, != 1.3.0", false),
            ("1.3.1", ">= 1.0, < 2.0, != 1.3.0", true),
            ("1.0.0-beta.1", ">= 0.9", false),
            ("1.0.0-beta.1", "1.0.0-beta.1", true),
        ] {
            assert_eq!(meets(version, constraint), Ok(holds), "{version} {constraint}");
        }
    }

    #[test]
    fn what_is_no_constraint_is_refused() {
        for constraint in ["", "latest", ">> 1", "1.2.3.4", ">= 1.x", ">= 1,"] {
            assert!(meets("1.0.0", constraint).is_err(), "{constraint}");
        }
    }
}
