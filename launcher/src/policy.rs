//! What to do where the host lacks something that the configuration asks for: `--policy FEATURE=POLICY`, or an annotation
//! `io.roci.policy.FEATURE`, which the option overrides.

use spec_core::Spec;
use spec_core::spec::POLICY_ANNOTATIONS;
use sys::Register;

use crate::cli::{Invocation, Opt, as_text};
use crate::error::{Error, Result, keep};
use crate::msg;
use crate::text::{parts, split_once};

/// What has a policy, in the order of [`NAMES`].
#[derive(Clone, Copy)]
pub enum Feature {
    /// The seccomp profile.
    Seccomp,
    /// The AppArmor profile.
    Apparmor,
    /// The SELinux label.
    Selinux,
    /// Limits of cgroups.
    Limits,
    /// Rules for devices.
    Devices,
    /// `memoryPolicy`.
    MemoryPolicy,
    /// `intelRdt`.
    IntelRdt,
    /// The overlay of the root file system.
    Overlay,
    /// Translation of addresses for a network, and published ports.
    Nat,
}

/// The names in options and annotations.
const NAMES: &str = "seccomp apparmor selinux limits devices memoryPolicy intelRdt overlay nat";
/// How many there are.
const FEATURES: usize = Feature::Nat as usize + 1;

/// What is to be done.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Policy {
    /// Without it there is no container.
    Require,
    /// It is used where it is there.
    Prefer,
    /// It is not used.
    Off,
}

static POLICIES: Register<[Policy; FEATURES]> = Register::new([Policy::Require; FEATURES]);

/// Reads the policies of a container that is to be made.
pub fn read(invocation: &Invocation, spec: &Spec<'static>) -> Result<()> {
    for pair in spec.list(spec.annotations) {
        if let Some(name) = pair.key.as_str().strip_prefix(POLICY_ANNOTATIONS) {
            set(name, pair.value.as_str(), "annotations")?;
        }
    }
    for word in invocation.values(Opt::Policy) {
        let (name, policy) = split_once(as_text(word)?, b'=');
        set(name, policy.unwrap_or_default(), "--policy")?;
    }
    Ok(())
}

fn set(name: &str, policy: &str, place: &str) -> Result<()> {
    let policy = match policy {
        "require" => Some(Policy::Require),
        "prefer" => Some(Policy::Prefer),
        "off" => Some(Policy::Off),
        _ => None,
    };
    let feature = parts(NAMES, b' ').position(|known| known == name);
    let mut policies = POLICIES.get();
    match (feature.and_then(|feature| policies.get_mut(feature)), policy) {
        (Some(place), Some(policy)) => *place = policy,
        (None, _) => return Err(Error::said(keep(msg!("#: no such feature: #"), &[place, name]))),
        _ => {
            return Err(Error::said(keep(
                msg!("#: #: neither require, prefer nor off"),
                &[place, name],
            )));
        }
    }
    POLICIES.set(policies);
    Ok(())
}

/// Whether there is no container without the feature.
pub fn is_required(feature: Feature) -> bool {
    of(feature) == Policy::Require
}

/// Whether the feature is not to be used.
pub fn is_off(feature: Feature) -> bool {
    of(feature) == Policy::Off
}

/// Whether the container may do without it.
pub fn is_preferred(feature: Feature) -> bool {
    of(feature) == Policy::Prefer
}

fn of(feature: Feature) -> Policy {
    POLICIES.get().get(feature as usize).copied().unwrap_or(Policy::Require)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::panic::catch_unwind;
    use std::string::String;

    #[test]
    fn every_feature_has_its_own_policy() {
        let features = [
            Feature::Seccomp,
            Feature::Apparmor,
            Feature::Selinux,
            Feature::Limits,
            Feature::Devices,
            Feature::MemoryPolicy,
            Feature::IntelRdt,
            Feature::Overlay,
            Feature::Nat,
        ];
        for (place, name) in parts(NAMES, b' ').enumerate() {
            for (word, policy) in [
                ("off", (true, false)),
                ("prefer", (false, true)),
                ("require", (false, false)),
            ] {
                assert!(set(name, word, "--policy").is_ok());
                for (other, feature) in features.into_iter().enumerate() {
                    let expected = if place == other { policy } else { (false, false) };
                    assert_eq!(
                        (is_off(feature), is_preferred(feature)),
                        expected,
                        "{name} {word} {other}"
                    );
                }
            }
        }
    }

    #[test]
    fn others_are_refused() {
        let refused = |name: &'static str, policy: &'static str| -> String {
            *catch_unwind(|| set(name, policy, "here").is_ok())
                .unwrap_err()
                .downcast()
                .unwrap()
        };
        assert!(refused("no", "off").ends_with("here: no such feature: no"));
        assert!(refused("nat", "").contains("here: nat: neither require"));
    }
}
