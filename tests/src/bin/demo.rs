//! `cargo demo`: the life of one container, as a transcript of the commands that anybody can type.

use std::io::Write;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};
use tests::products;

/// The program in the container: it says who it is, and ends in order when it is asked to.
const PROGRAM: &str = "#!/bin/sh
trap 'echo \"caught SIGTERM, good bye\"; exit 0' TERM
echo \"hello from process $$ on $(hostname)\"
sleep 1000 & wait
";

fn main() -> ExitCode {
    match demo() {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("demo: {why}");
            ExitCode::FAILURE
        }
    }
}

fn demo() -> Result<(), String> {
    let directory = products::target_directory().join("demo");
    if !rustix::process::geteuid().is_root() {
        return Err("containers with namespaces and cgroups of their own need root".to_owned());
    }
    let release = products::build(None)?;
    prepare(&directory, &release).map_err(|error| format!("{}: {error}", directory.display()))?;
    let shell = Shell::new(&directory);
    // A demonstration that was interrupted may have left its container.
    shell.quietly("roci delete --force web");

    shell.show(
        "create makes the container and stops just before its program",
        "roci create --bundle bundle web",
    )?;
    shell.show("", "roci state web | grep -o '\"status\": *\"[a-z]*\"'")?;
    shell.show("start lets the program go", "roci start web")?;
    shell.wait_for("hello from");
    shell.show("", "roci state web | grep -o '\"status\": *\"[a-z]*\"'")?;
    shell.show("inside there is a world of its own", "roci exec web ps")?;
    shell.show("", "roci exec web hostname")?;
    shell.show("", "roci exec web mount | cut -d' ' -f 3,5 | head -n 7")?;
    shell.show("", "roci exec web ls /sys/class/net")?;
    shell.show(
        "a signal ends the program in the way that it chose",
        "roci kill web TERM",
    )?;
    shell.wait_for("good bye");
    shell.quietly("i=0; while roci state web | grep -q running && [ $i -lt 100 ]; do sleep 0.05; i=$((i+1)); done");
    shell.show("", "roci state web | grep -o '\"status\": *\"[a-z]*\"'")?;
    shell.show("delete frees what is left: cgroups and state", "roci delete web")?;
    shell.show("", "roci list")?;

    let shown = |path: &Path| {
        let here = std::env::current_dir().unwrap_or_default();
        path.strip_prefix(here).unwrap_or(path).display().to_string()
    };
    println!("\nTo look around by hand, in a terminal:\n");
    println!(
        "    sudo {} run --bundle {} sh1",
        shown(&release.join("roci")),
        shown(&directory.join("shell"))
    );
    Ok(())
}

/// Two bundles with one root file system: the demonstration's, and one with a shell in a terminal.
fn prepare(directory: &Path, release: &Path) -> std::io::Result<()> {
    if directory.exists() {
        std::fs::remove_dir_all(directory)?;
    }
    for name in ["bundle", "shell"] {
        let bundle = directory.join(name);
        tests::make_rootfs(&bundle.join("rootfs"))?;
        let program = bundle.join("rootfs/bin/greeter");
        std::fs::write(&program, PROGRAM)?;
        std::fs::set_permissions(program, PermissionsExt::from_mode(0o755))?;
        let mut config = tests::default_config(if name == "shell" {
            &["/bin/sh"]
        } else {
            &["/bin/greeter"]
        });
        config["hostname"] = "box".into();
        config["process"]["terminal"] = (name == "shell").into();
        std::fs::write(bundle.join("config.json"), serde_json::to_string_pretty(&config)?)?;
    }
    std::fs::create_dir(directory.join("path"))?;
    symlink(release.join("roci"), directory.join("path/roci"))
}

/// Runs the commands in the demonstration's directory, with `roci` in the path.
struct Shell<'a> {
    directory: &'a Path,
    output: std::path::PathBuf,
}

impl<'a> Shell<'a> {
    fn new(directory: &'a Path) -> Self {
        Self {
            directory,
            output: directory.join("output"),
        }
    }

    fn command(&self, line: &str) -> Command {
        let path = std::env::var("PATH").unwrap_or_default();
        let mut command = Command::new("/bin/sh");
        command
            .args(["-c", line])
            .current_dir(self.directory)
            .stdin(Stdio::null());
        command.env("PATH", format!("{}:{path}", self.directory.join("path").display()));
        command
    }

    fn quietly(&self, line: &str) {
        let _ = self.command(line).stdout(Stdio::null()).stderr(Stdio::null()).status();
    }

    /// Prints a command and what it prints; the container keeps the file that stands for the terminal.
    fn show(&self, why: &str, line: &str) -> Result<(), String> {
        if !why.is_empty() {
            println!("\n# {why}");
        }
        println!("$ {line}");
        let _ = std::io::stdout().flush();
        let is_create = line.starts_with("roci create");
        let mut command = self.command(line);
        if is_create {
            let file = std::fs::File::options().create(true).append(true).open(&self.output);
            let file = file.map_err(|error| error.to_string())?;
            let errors = file.try_clone().map_err(|error| error.to_string())?;
            command.stdout(file).stderr(errors);
        }
        let status = command.status().map_err(|error| error.to_string())?;
        match status.success() {
            true => Ok(()),
            false => Err(format!(
                "`{line}` failed: {}",
                std::fs::read_to_string(&self.output).unwrap_or_default()
            )),
        }
    }

    /// Waits until the container has printed something, and shows it where a terminal would.
    fn wait_for(&self, text: &str) {
        tests::eventually("the program speaks", || {
            std::fs::read_to_string(&self.output).is_ok_and(|out| out.contains(text))
        });
        let output = std::fs::read_to_string(&self.output).unwrap_or_default();
        for line in output.lines().filter(|line| line.contains(text)) {
            println!("{line}");
        }
    }
}
