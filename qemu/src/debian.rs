//! Debian's packages, for any of its architectures, without installing them: an apt with directories of its own finds and
//! fetches them, and they are unpacked below `target/qemu`.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};
use tests::products;

/// Where everything is kept that is not made anew each time.
pub fn cache() -> PathBuf {
    products::target_directory().join("qemu")
}

/// Runs a command; the value is what it printed, the error what it said at the end.
pub fn run(command: &mut Command) -> Result<String> {
    let output = products::run(command).map_err(anyhow::Error::msg)?;
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Something that the machine at hand does not have, and that cannot be had: nothing was tried that could have failed.
#[derive(Debug)]
pub struct Missing;

impl std::fmt::Display for Missing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("something is missing")
    }
}

/// The packages of one release for one architecture.
pub struct Packages {
    directory: PathBuf,
    architecture: &'static str,
    release: String,
}

impl Packages {
    /// Nothing is fetched yet.
    pub fn of(architecture: &'static str, release: &str) -> Self {
        Self {
            directory: cache().join(format!("debian-{release}-{architecture}")),
            architecture,
            release: release.to_owned(),
        }
    }

    /// The directory into which the newest package whose name `matches` (a regular expression) was unpacked.
    pub fn unpacked(&self, name: &str, matches: &str) -> Result<PathBuf> {
        self.unpack_as(name, || {
            let found = self.apt("apt-cache", &["search", "--names-only", matches])?;
            let names = found.lines().filter_map(|line| line.split(' ').next());
            let newest = names.max_by_key(|name| version(name));
            Ok(vec![
                newest
                    .with_context(|| format!("Debian {} has no {name} for {}", self.release, self.architecture))?
                    .to_owned(),
            ])
        })
    }

    /// The same for packages and all that they depend on, in one directory.
    pub fn unpacked_whole(&self, name: &str, packages: &[&str]) -> Result<PathBuf> {
        self.unpack_as(name, || {
            let mut args = vec!["install", "--simulate", "--no-install-recommends"];
            args.extend(packages);
            let plan = self.apt("apt-get", &args)?;
            let names = plan
                .lines()
                .filter_map(|line| line.strip_prefix("Inst ")?.split(' ').next());
            Ok(names.map(str::to_owned).collect())
        })
    }

    fn unpack_as(&self, name: &str, choose: impl Fn() -> Result<Vec<String>>) -> Result<PathBuf> {
        let done = self.directory.join(name);
        if done.exists() {
            return Ok(done);
        }
        self.fetch(&done, choose).context(Missing)
    }

    fn fetch(&self, done: &Path, choose: impl Fn() -> Result<Vec<String>>) -> Result<PathBuf> {
        self.update()?;
        let packages = choose()?;
        eprintln!("fetching {} for {}", packages.join(" "), self.architecture);
        // What is named as it shall be is complete.
        let new = tempfile::Builder::new().prefix("new-").tempdir_in(&self.directory)?;
        let args: Vec<&str> = ["download"]
            .into_iter()
            .chain(packages.iter().map(String::as_str))
            .collect();
        run(self.command("apt-get", &args).current_dir(new.path()))?;
        let tree = new.path().join("tree");
        for file in std::fs::read_dir(new.path())? {
            let file = file?.path();
            if file.extension().is_some_and(|extension| extension == "deb") {
                run(Command::new("dpkg-deb").arg("-x").args([&file, &tree]))?;
            }
        }
        let done = done.to_owned();
        match std::fs::rename(&tree, &done) {
            // Somebody else was faster with the same.
            Err(_) if done.exists() => Ok(done),
            renamed => Ok(renamed.map(|()| done)?),
        }
    }

    /// Fetches the lists of packages, once.
    fn update(&self) -> Result<()> {
        let lists = self.directory.join("lists");
        let have = |dir: &Path| {
            std::fs::read_dir(dir).is_ok_and(|mut entries| {
                entries.any(|entry| entry.is_ok_and(|entry| entry.file_name().to_string_lossy().contains("Packages")))
            })
        };
        if have(&lists) {
            return Ok(());
        }
        std::fs::create_dir_all(lists.join("partial"))?;
        std::fs::create_dir_all(self.directory.join("archives/partial"))?;
        std::fs::write(self.directory.join("status"), "")?;
        let mirror = mirror()?;
        let release = &self.release;
        let key = "/usr/share/keyrings/debian-archive-keyring.gpg";
        std::fs::write(
            self.directory.join("sources.list"),
            format!(
                "deb [signed-by={key}] {mirror} {release} main\n\
                 deb [signed-by={key}] {mirror}-security {release}-security main\n"
            ),
        )?;
        // A mirror may lack one of the lists for a while; the other one does.
        let updated = self.apt("apt-get", &["update"]);
        ensure!(
            have(&lists),
            "no list of Debian's packages can be had: {:#}",
            updated
                .err()
                .unwrap_or_else(|| anyhow::anyhow!("apt-get update fetched none"))
        );
        Ok(())
    }

    fn apt(&self, program: &str, args: &[&str]) -> Result<String> {
        run(&mut self.command(program, args))
    }

    fn command(&self, program: &str, args: &[&str]) -> Command {
        let at = |name: &str| self.directory.join(name).display().to_string();
        let mut command = Command::new(program);
        command.args(["-q", "-q"]);
        for option in [
            format!("APT::Architecture={}", self.architecture),
            format!("APT::Architectures={}", self.architecture),
            format!("Dir::State={}", self.directory.display()),
            format!("Dir::State::Lists={}", at("lists")),
            format!("Dir::State::status={}", at("status")),
            format!("Dir::Cache={}", self.directory.display()),
            format!("Dir::Etc::SourceList={}", at("sources.list")),
            "Dir::Etc::SourceParts=/dev/null".to_owned(),
            "Dir::Etc::Preferences=/dev/null".to_owned(),
            "Dir::Etc::PreferencesParts=/dev/null".to_owned(),
            "Acquire::Languages=none".to_owned(),
            "Acquire::Check-Valid-Until=false".to_owned(),
            "APT::Sandbox::User=root".to_owned(),
        ] {
            command.arg("-o").arg(option);
        }
        command.args(args);
        command
    }
}

/// The mirror that this machine's own apt uses.
fn mirror() -> Result<String> {
    let all = run(Command::new("apt-get").args(["indextargets", "--format", "$(REPO_URI)"]))
        .context("Debian's packages are fetched with apt-get")?;
    let mut mirrors = all.lines().filter(|line| !line.contains("security"));
    match mirrors.next() {
        Some(mirror) => Ok(mirror.trim_end_matches('/').to_owned()),
        None => bail!("apt on this machine has no mirror"),
    }
}

/// The numbers in a name, which order versions.
fn version(name: &str) -> Vec<u64> {
    name.split(|c: char| !c.is_ascii_digit())
        .filter_map(|digits| digits.parse().ok())
        .collect()
}

/// Installs on this machine the packages that have the programs, where those are missing.
pub fn install(programs: &[(&str, &str)]) -> Result<()> {
    let missing: Vec<&str> = programs
        .iter()
        .filter(|(program, _)| !tests::have(program) && !Path::new(program).exists())
        .map(|(_, package)| *package)
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    eprintln!("installing {}", missing.join(" "));
    tests::apt_install(&missing)
        .map_err(anyhow::Error::msg)
        .context(Missing)
}
