//! What goes wrong on a control plane, and whose it is: a shift gives up for what is its own alone.

use engine::units::Role;

/// Why nothing more will come of what was asked for, and of whom.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trouble {
    /// Whose it is.
    pub of: Whose,
    /// What is wrong, as people read it.
    pub why: String,
}

/// Whose trouble it is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Whose {
    /// Of all that there is, as far as is told.
    All,
    /// Of the units of a role.
    Role(Role),
    /// Of the member of that name.
    Member(String),
}

impl Trouble {
    /// Of all that there is.
    pub fn of_all(why: impl Into<String>) -> Self {
        Self { of: Whose::All, why: why.into() }
    }

    /// Of the units of a role.
    pub fn of_role(role: Role, why: impl Into<String>) -> Self {
        Self { of: Whose::Role(role), why: why.into() }
    }

    /// Of one member.
    pub fn of_member(name: impl Into<String>, why: impl Into<String>) -> Self {
        Self { of: Whose::Member(name.into()), why: why.into() }
    }
}
