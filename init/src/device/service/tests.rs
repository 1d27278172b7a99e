use super::*;
use std::vec::Vec;

/// A service with the settings that `change` makes of the usual ones.
fn service(change: impl FnOnce(&mut Settings)) -> Service {
    let mut settings = Settings::DEFAULT;
    change(&mut settings);
    Service::new(settings, 0)
}

/// Feeds events, with a random number that makes each delay as long as is said, and compares the actions.
#[track_caller]
fn play(service: &mut Service, steps: &[(Moment, Event, Action)]) {
    for (now, event, expected) in steps {
        let exact = 0;
        assert_eq!(service.step(*event, *now, exact), *expected, "{event:?} at {now}");
    }
}

/// Up and ready at `now`.
fn raise(service: &mut Service, now: Moment) {
    play(
        service,
        &[(now, Event::Go, Action::Start), (now, Event::Started, Action::Nothing)],
    );
}

const FAILED: Event = Event::Exited(Exit::Status(1));
const WELL: Event = Event::Exited(Exit::Status(0));

#[test]
fn a_oneshot_is_ready_when_it_has_ended_well() {
    let mut oneshot = service(|settings| settings.kind = Kind::Oneshot);
    raise(&mut oneshot, 0);
    assert!(!oneshot.is_ready());
    play(
        &mut oneshot,
        &[(5, WELL, Action::Clean), (6, Event::Cleaned, Action::Nothing)],
    );
    assert!(oneshot.is_ready() && oneshot.has_ended());
    assert_eq!((oneshot.phase, oneshot.deadline()), (Phase::Ended(Why::Done), NEVER));
    assert_eq!((oneshot.last, oneshot.restarts), ((0, 0), 0));
}

#[test]
fn a_oneshot_that_fails_is_tried_again() {
    let mut oneshot = service(|settings| settings.kind = Kind::Oneshot);
    raise(&mut oneshot, 0);
    play(
        &mut oneshot,
        &[(0, FAILED, Action::Clean), (0, Event::Cleaned, Action::Nothing)],
    );
    assert_eq!((oneshot.phase, oneshot.deadline()), (Phase::Backoff, 750));
    play(
        &mut oneshot,
        &[
            (749, Event::Tick, Action::Nothing),
            (750, Event::Tick, Action::Start),
            (751, Event::Started, Action::Nothing),
            (752, WELL, Action::Clean),
            (753, Event::Cleaned, Action::Nothing),
        ],
    );
    assert_eq!((oneshot.phase, oneshot.restarts), (Phase::Ended(Why::Done), 1));
}

/// The delays of a service whose program fails at once, from one end to the next start.
fn delays(service: &mut Service, count: usize, random: u32) -> Vec<Moment> {
    let mut now = 0;
    raise(service, now);
    let mut delays = Vec::new();
    for _ in 0..count {
        service.step(FAILED, now, random);
        service.step(Event::Cleaned, now, random);
        delays.push(service.deadline() - now);
        now = service.deadline();
        assert_eq!(service.step(Event::Tick, now, random), Action::Start);
        service.step(Event::Started, now, random);
    }
    delays
}

#[test]
fn each_restart_in_a_row_waits_twice_as_long() {
    let settings = |settings: &mut Settings| (settings.delay, settings.delay_max) = (100, 1500);
    // A quarter less than 100, 200, 400, 800, 1500, 1500.
    assert_eq!(delays(&mut service(settings), 6, 0), [75, 150, 300, 600, 1125, 1125]);
    // Half of 1500 more than that is the most.
    assert_eq!(delays(&mut service(settings), 6, 750)[4..], [1875, 1875]);
}

#[test]
fn jitter_has_bounds_and_fills_them() {
    let settings = Settings {
        delay: 1000,
        delay_max: 3_600_000,
        ..Settings::DEFAULT
    };
    let mut random = 7_u32;
    for row in (0..40).chain([1000, u32::MAX]) {
        let middle = (1000_u64 << row.min(24)).min(3_600_000);
        let (mut least, mut most) = (NEVER, 0);
        for _ in 0..2000 {
            random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let delay = backoff(&settings, row, random >> 4);
            (least, most) = (least.min(delay), most.max(delay));
        }
        assert!(least >= middle - middle / 4 && most <= middle + middle / 4, "{row}");
        assert!(least < middle - middle / 5 && most > middle + middle / 5, "{row}");
    }
}

#[test]
fn who_was_ready_for_long_begins_anew() {
    let mut service = service(|settings| settings.reset = 10_000);
    delays(&mut service, 3, 0);
    let now = service.up_since;
    for (lived, expected) in [(9999, 6000), (10_000, 750), (5, 1500)] {
        let mut now = now.max(service.up_since) + lived;
        play(
            &mut service,
            &[(now, FAILED, Action::Clean), (now, Event::Cleaned, Action::Nothing)],
        );
        assert_eq!(service.deadline() - now, expected);
        now = service.deadline();
        play(
            &mut service,
            &[
                (now, Event::Tick, Action::Start),
                (now, Event::Started, Action::Nothing),
            ],
        );
    }
}

#[test]
fn policies_decide_what_is_started_again() {
    let ends = |restart, event| {
        let mut service = service(|settings| settings.restart = restart);
        raise(&mut service, 0);
        play(
            &mut service,
            &[(1, event, Action::Clean), (1, Event::Cleaned, Action::Nothing)],
        );
        service.phase
    };
    use Restart::{Always, No, OnFailure};
    let (done, failed) = (Phase::Ended(Why::Done), Phase::Ended(Why::Failed));
    assert_eq!([ends(Some(No), WELL), ends(Some(No), FAILED)], [done, failed]);
    assert_eq!([ends(Some(OnFailure), WELL), ends(None, WELL)], [done, done]);
    assert_eq!([ends(Some(OnFailure), FAILED), ends(None, FAILED)], [Phase::Backoff; 2]);
    assert_eq!(
        [ends(Some(Always), WELL), ends(Some(Always), FAILED)],
        [Phase::Backoff; 2]
    );
    for exit in [Exit::Signal(11), Exit::OutOfMemory] {
        assert_eq!(ends(Some(OnFailure), Event::Exited(exit)), Phase::Backoff);
    }
}

#[test]
fn enough_is_enough() {
    let mut service = service(|settings| settings.restarts_max = 2);
    delays(&mut service, 2, 0);
    let now = 99_000;
    play(&mut service, &[(now, FAILED, Action::Clean)]);
    // It was ready for longer than it takes to begin anew, so there are two more.
    play(&mut service, &[(now, Event::Cleaned, Action::Nothing)]);
    assert_eq!(service.phase, Phase::Backoff);
    let mut service = super::Service::new(service.settings, 0);
    delays(&mut service, 2, 0);
    let now = service.up_since;
    play(
        &mut service,
        &[(now, FAILED, Action::Clean), (now, Event::Cleaned, Action::Nothing)],
    );
    assert_eq!(service.phase, Phase::Ended(Why::Failed));
    // Somebody gives it another chance.
    play(
        &mut service,
        &[
            (now, Event::Start, Action::Start),
            (now, Event::Started, Action::Nothing),
        ],
    );
    play(
        &mut service,
        &[(now, FAILED, Action::Clean), (now, Event::Cleaned, Action::Nothing)],
    );
    assert_eq!(service.phase, Phase::Backoff);
}

#[test]
fn a_critical_one_that_cannot_be_had_restarts_the_device() {
    let mut critical = service(|settings| (settings.critical, settings.restart) = (true, Some(Restart::No)));
    raise(&mut critical, 0);
    play(
        &mut critical,
        &[(1, FAILED, Action::Clean), (1, Event::Cleaned, Action::Reboot)],
    );
    // One that has done its work is no loss.
    let mut done = service(|settings| settings.critical = true);
    raise(&mut done, 0);
    play(
        &mut done,
        &[(1, WELL, Action::Clean), (1, Event::Cleaned, Action::Nothing)],
    );
    assert!(!done.is_overdue(NEVER - 1));
}

#[test]
fn a_critical_one_may_be_away_for_so_long() {
    let mut critical = service(|settings| (settings.critical, settings.critical_deadline) = (true, 5000));
    assert_eq!(critical.deadline(), 5000);
    assert!(!critical.is_overdue(4999) && critical.is_overdue(5000));
    raise(&mut critical, 100);
    assert!(!critical.is_overdue(NEVER - 1));
    play(
        &mut critical,
        &[(7000, FAILED, Action::Clean), (7001, Event::Cleaned, Action::Nothing)],
    );
    assert!(!critical.is_overdue(12_000) && critical.is_overdue(12_001));
    // It does not count as being back that it is tried.
    play(&mut critical, &[(8000, Event::Tick, Action::Start)]);
    assert!(critical.is_overdue(12_001));
    play(
        &mut critical,
        &[
            (8001, Event::NotStarted(1), Action::Clean),
            (8002, Event::Cleaned, Action::Nothing),
        ],
    );
    assert!(critical.is_overdue(12_001));
    // Nobody misses what was stopped on purpose.
    play(&mut critical, &[(8003, Event::Stop, Action::Nothing)]);
    assert!(!critical.is_overdue(NEVER - 1));
    assert_eq!(critical.phase, Phase::Ended(Why::Stopped));
}

#[test]
fn a_program_has_its_grace_and_is_killed_then() {
    let mut service = service(|settings| settings.grace = 3000);
    raise(&mut service, 0);
    play(
        &mut service,
        &[
            (10, Event::Stop, Action::Signal),
            (3009, Event::Tick, Action::Nothing),
            (3010, Event::Tick, Action::Kill),
            (3011, Event::Tick, Action::Nothing),
            (4010, Event::Tick, Action::Kill),
            (4011, Event::Exited(Exit::Signal(9)), Action::Clean),
            (4012, Event::Cleaned, Action::Nothing),
        ],
    );
    assert_eq!((service.phase, service.last), (Phase::Ended(Why::Stopped), (1, 9)));
    assert_eq!(service.deadline(), NEVER);
}

#[test]
fn a_restart_waits_for_nothing() {
    let mut service = service(|settings| settings.restart = Some(Restart::No));
    raise(&mut service, 0);
    play(
        &mut service,
        &[
            (1, Event::Restart, Action::Signal),
            (2, Event::Exited(Exit::Signal(15)), Action::Clean),
            (3, Event::Cleaned, Action::Start),
            (4, Event::Started, Action::Nothing),
        ],
    );
    assert!(service.is_ready());
    assert_eq!(service.restarts, 1);
    // Who changes their mind meanwhile is listened to.
    play(
        &mut service,
        &[
            (5, Event::Restart, Action::Signal),
            (6, Event::Stop, Action::Nothing),
            (7, WELL, Action::Clean),
            (8, Event::Cleaned, Action::Nothing),
        ],
    );
    assert_eq!(service.phase, Phase::Ended(Why::Stopped));
}

#[test]
fn what_is_wanted_of_one_that_starts_happens_then() {
    let mut service = service(|_| {});
    play(
        &mut service,
        &[
            (0, Event::Go, Action::Start),
            (1, Event::Stop, Action::Nothing),
            (2, Event::Started, Action::Signal),
            (3, WELL, Action::Clean),
            (4, Event::Cleaned, Action::Nothing),
        ],
    );
    assert_eq!(service.phase, Phase::Ended(Why::Stopped));
}

#[test]
fn failing_checks_lead_to_a_restart() {
    let mut service = service(|settings| {
        (settings.has_health, settings.retries) = (true, 2);
        (settings.start_period, settings.interval, settings.timeout) = (100, 1000, 300);
    });
    raise(&mut service, 0);
    play(
        &mut service,
        &[
            (99, Event::Tick, Action::Nothing),
            (100, Event::Tick, Action::Check),
            (150, Event::Checked(true), Action::Nothing),
            (1149, Event::Tick, Action::Nothing),
            (1150, Event::Tick, Action::Check),
            (1200, Event::Checked(false), Action::Nothing),
            (2200, Event::Tick, Action::Check),
            (2300, Event::Checked(true), Action::Nothing),
            (3300, Event::Tick, Action::Check),
            (3301, Event::Checked(false), Action::Nothing),
            // This one takes too long, which its own end tells.
            (4301, Event::Tick, Action::Check),
            (4601, Event::Tick, Action::KillCheck),
            (4700, Event::Tick, Action::Nothing),
            (4701, Event::Checked(false), Action::Signal),
            (4702, Event::Exited(Exit::Status(0)), Action::Clean),
            (4703, Event::Cleaned, Action::Nothing),
        ],
    );
    assert_eq!((service.phase, service.last), (Phase::Backoff, (4, 0)));
}

#[test]
fn a_check_of_the_run_before_does_not_count() {
    let mut service = service(|settings| (settings.has_health, settings.retries) = (true, 1));
    raise(&mut service, 0);
    play(
        &mut service,
        &[
            (1000, Event::Tick, Action::Check),
            (1001, Event::Restart, Action::Signal),
            (1002, WELL, Action::Clean),
            (1003, Event::Cleaned, Action::Start),
            (1004, Event::Started, Action::Nothing),
            (1005, Event::Checked(false), Action::Nothing),
        ],
    );
    assert!(service.is_ready());
}

#[test]
fn readiness_is_told_or_missed() {
    let mut notify = service(|settings| (settings.ready, settings.ready_timeout) = (Ready::Notify, 500));
    raise(&mut notify, 0);
    assert!(!notify.is_ready());
    play(
        &mut notify,
        &[
            (499, Event::Ready, Action::Nothing),
            (500, Event::Tick, Action::Nothing),
        ],
    );
    assert!(notify.is_ready());
    let mut late = service(|settings| (settings.ready, settings.ready_timeout) = (Ready::Fd, 500));
    raise(&mut late, 0);
    play(
        &mut late,
        &[
            (500, Event::Tick, Action::Signal),
            (501, WELL, Action::Clean),
            (502, Event::Cleaned, Action::Nothing),
        ],
    );
    assert_eq!((late.phase, late.last), (Phase::Backoff, (5, 0)));
    let mut delay = service(|settings| settings.ready = Ready::Delay(200));
    raise(&mut delay, 0);
    assert!(!delay.is_ready());
    play(&mut delay, &[(200, Event::Tick, Action::Nothing)]);
    assert!(delay.is_ready());
    let mut health = service(|settings| (settings.ready, settings.has_health) = (Ready::Health, true));
    raise(&mut health, 0);
    play(
        &mut health,
        &[
            (1000, Event::Tick, Action::Check),
            (1001, Event::Checked(false), Action::Nothing),
            (31_001, Event::Tick, Action::Check),
            (31_002, Event::Checked(true), Action::Nothing),
        ],
    );
    assert!(health.is_ready());
}

#[test]
fn a_start_that_hangs_is_ended() {
    let mut service = service(|settings| settings.ready_timeout = 500);
    play(
        &mut service,
        &[
            (0, Event::Go, Action::Start),
            (500, Event::Tick, Action::Kill),
            (501, Event::NotStarted(137), Action::Clean),
            (502, Event::Cleaned, Action::Nothing),
        ],
    );
    assert_eq!((service.phase, service.last), (Phase::Backoff, (5, 0)));
}

/// Whatever comes in whatever order: who was started is cleaned up before it is started again, nothing is started that is
/// there, and a stop is always followed.
#[test]
fn no_order_of_events_confuses_it() {
    let events = [
        Event::Go,
        Event::Ready,
        Event::Checked(true),
        Event::Checked(false),
        Event::Tick,
        Event::Tick,
        Event::Start,
        Event::Stop,
        Event::Restart,
    ];
    let mut random = 99_u32;
    let mut draw = |below: usize| {
        random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (random >> 8) as usize % below
    };
    for _ in 0..300 {
        let mut service = service(|settings| {
            settings.kind = [Kind::Service, Kind::Oneshot][draw(2)];
            settings.ready = [Ready::Start, Ready::Notify, Ready::Health][draw(3)];
            settings.has_health = draw(2) == 0;
            settings.restarts_max = draw(4) as u32;
            settings.critical = draw(2) == 0;
        });
        // What the world is: `roci run` at work, a program, `roci delete` at work.
        let (mut starts, mut runs, mut cleans) = (false, false, false);
        let mut now = 0;
        for _ in 0..400 {
            now += draw(3000) as Moment;
            let event = match draw(3) {
                0 if starts => [Event::Started, Event::NotStarted(1)][draw(2)],
                0 if runs => [FAILED, WELL, Event::Exited(Exit::OutOfMemory)][draw(3)],
                0 if cleans => Event::Cleaned,
                _ => events[draw(events.len())],
            };
            match event {
                Event::Started => (starts, runs) = (false, true),
                Event::NotStarted(_) => starts = false,
                Event::Exited(_) => runs = false,
                Event::Cleaned => cleans = false,
                _ => {}
            }
            match service.step(event, now, draw(1 << 20) as u32) {
                Action::Start => {
                    assert!(!starts && !runs && !cleans, "{event:?}");
                    starts = true;
                }
                Action::Clean => {
                    assert!(!starts && !runs && !cleans, "{event:?}");
                    cleans = true;
                }
                Action::Signal | Action::Check | Action::KillCheck => assert!(runs, "{event:?}"),
                Action::Kill => assert!(runs || starts, "{event:?}"),
                Action::Nothing | Action::Reboot => {}
            }
            assert_eq!(service.is_down(), !starts && !runs && !cleans, "{event:?}");
        }
        // However it stands, a stop ends it.
        service.step(Event::Stop, now, 0);
        for _ in 0..20 {
            now += 100_000;
            let event = match (starts, runs, cleans) {
                (true, ..) => Event::Started,
                (_, true, _) => FAILED,
                (_, _, true) => Event::Cleaned,
                _ => Event::Tick,
            };
            (starts, runs, cleans) = (false, event == Event::Started, false);
            cleans |= service.step(event, now, 0) == Action::Clean;
        }
        assert!(service.has_ended());
    }
}
