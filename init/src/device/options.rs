//! What is set for the device as a whole: words `roci.NAME=VALUE` on the kernel's command line, and lines `NAME=VALUE` of
//! `/etc/roci/device`, which the command line overrides. Nothing has to be set.

use spec_core::device::settings::{Log, Restart, Time, parse_log, parse_restart, parse_time};

use crate::text::{Text, after};

/// What the words on the command line begin with.
const PREFIX: &[u8] = b"roci.";
/// What the names of kernel settings begin with, as on the kernel's own command line.
pub const SYSCTL: &[u8] = b"sysctl.";

/// What the device does when every container has ended, and none is to be started again.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum End {
    /// It is switched off.
    PowerOff,
    /// It starts again.
    Reboot,
    /// It waits for somebody to start a container.
    Stay,
}

/// The settings.
pub struct Options {
    /// `hostname`
    pub hostname: Text<65>,
    /// `console`: the device that messages go to.
    pub console: Text<64>,
    /// `ip`: the address, in the form of the kernel's word of the same name, which is taken as well.
    pub ip: Text<160>,
    /// `data`: `DEVICE[:TYPE[:OPTIONS]]`, which is mounted at `/data`.
    pub data: Text<160>,
    /// `modules`: files of `/lib/modules`, with commas between them, after those of `/etc/roci/modules`.
    pub modules: Text<256>,
    /// `watchdog`: for how long it waits; 0 leaves it alone.
    pub watchdog: Time,
    /// `restart`: the policy of containers that say nothing.
    pub restart: Restart,
    /// `log`: the same for output.
    pub log: Log,
    /// `shutdown`: how long all containers together have to stop.
    pub shutdown: Time,
    /// `end`
    pub end: End,
}

impl Options {
    /// What counts where nothing is set.
    pub const fn new() -> Self {
        Self {
            hostname: Text::new(),
            console: Text::new(),
            ip: Text::new(),
            data: Text::new(),
            modules: Text::new(),
            watchdog: 60_000,
            restart: Restart::OnFailure,
            log: Log::Ring,
            shutdown: 30_000,
            end: End::PowerOff,
        }
    }

    /// Takes `NAME=VALUE`; what is wrong with it.
    pub fn take(&mut self, setting: &[u8]) -> Result<(), &'static str> {
        let mut parts = setting.splitn(2, |byte| *byte == b'=');
        let (name, value) = (parts.next().unwrap_or_default(), parts.next());
        let value = value.ok_or("expected NAME=VALUE")?;
        let text = core::str::from_utf8(value).unwrap_or_default();
        match name {
            b"hostname" => set(&mut self.hostname, value),
            b"console" => set(&mut self.console, value),
            b"ip" => set(&mut self.ip, value),
            b"data" => set(&mut self.data, value),
            b"modules" => set(&mut self.modules, value),
            b"watchdog" if value == b"off" => {
                self.watchdog = 0;
                Ok(())
            }
            b"watchdog" => put(&mut self.watchdog, parse_time(text), "expected a time or off"),
            b"shutdown" => put(&mut self.shutdown, parse_time(text), "expected a time"),
            b"restart" => put(
                &mut self.restart,
                parse_restart(text),
                "expected no, on-failure or always",
            ),
            b"log" => put(&mut self.log, parse_log(text), "expected ring, console or kmsg"),
            b"end" => {
                let end = match value {
                    b"poweroff" => Some(End::PowerOff),
                    b"reboot" => Some(End::Reboot),
                    b"stay" => Some(End::Stay),
                    _ => None,
                };
                put(&mut self.end, end, "expected poweroff, reboot or stay")
            }
            _ => Err("unknown setting"),
        }
    }

    /// Takes the words of the kernel's command line that are for this; `wrong` is told which are not understood.
    pub fn take_command_line(&mut self, line: &[u8], mut wrong: impl FnMut(&[u8], &'static str)) {
        for word in line.split(u8::is_ascii_whitespace) {
            let setting = match after(word, PREFIX) {
                Some(setting) => setting,
                // The kernel's own, which it acts on only where it has the driver built in.
                None if after(word, b"ip=").is_some() => word,
                None => continue,
            };
            if let Err(what) = self.take(setting) {
                wrong(word, what);
            }
        }
    }
}

fn put<T>(place: &mut T, value: Option<T>, expected: &'static str) -> Result<(), &'static str> {
    *place = value.ok_or(expected)?;
    Ok(())
}

fn set<const N: usize>(place: &mut Text<N>, value: &[u8]) -> Result<(), &'static str> {
    *place = Text::new();
    place.push(value);
    match place.as_c_str() {
        Some(_) => Ok(()),
        None => Err("too long"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::{String, ToString};
    use std::vec::Vec;

    #[test]
    fn the_command_line_has_words_for_us_and_for_others() {
        let mut options = Options::new();
        let mut wrong = Vec::new();
        let line = b"console=ttyS0 quiet roci.hostname=box ip=10.0.0.2::10.0.0.1:255.255.255.0::eth0:off roci.watchdog=20s \
                     roci.restart=always roci.log=kmsg roci.shutdown=5s roci.end=stay roci.data=/dev/vda:ext4:noatime \
                     roci.modules=a.ko,b.ko roci.console=/dev/ttyS1 roci.colour=blue roci.end=never roci.log init=/init\n";
        options.take_command_line(line, |word, what| {
            wrong.push((String::from_utf8_lossy(word).into_owned(), what.to_string()));
        });
        assert_eq!(options.hostname.as_bytes(), b"box");
        assert_eq!(options.ip.as_bytes(), b"10.0.0.2::10.0.0.1:255.255.255.0::eth0:off");
        assert_eq!(options.data.as_bytes(), b"/dev/vda:ext4:noatime");
        assert_eq!(options.modules.as_bytes(), b"a.ko,b.ko");
        assert_eq!(options.console.as_bytes(), b"/dev/ttyS1");
        assert_eq!((options.watchdog, options.shutdown), (20_000, 5000));
        assert_eq!((options.restart, options.log), (Restart::Always, Log::Kmsg));
        assert_eq!(options.end, End::Stay);
        let pairs = |word: &str, what: &str| (word.to_string(), what.to_string());
        let expected = [
            pairs("roci.colour=blue", "unknown setting"),
            pairs("roci.end=never", "expected poweroff, reboot or stay"),
            pairs("roci.log", "expected NAME=VALUE"),
        ];
        assert_eq!(wrong, expected);
    }

    #[test]
    fn values_have_bounds() {
        let mut options = Options::new();
        assert_eq!(options.take(b"watchdog=off"), Ok(()));
        assert_eq!(options.watchdog, 0);
        let setting = |len| [b"hostname=", "h".repeat(len).as_bytes()].concat();
        assert_eq!(options.take(&setting(64)), Ok(()));
        assert_eq!(options.take(&setting(65)), Err("too long"));
        assert_eq!(options.take(b"shutdown=soon"), Err("expected a time"));
    }
}
