//! The documents that roci reads, from bytes to a checked [`Spec`].

use crate::error::Error;
use crate::json::{Read, read_document};
use crate::process::read_process;
use crate::resources::read_resources;
use crate::spec::{Spec, read_config};
use crate::validate::{Broken, check_config, check_process_document};
use crate::value::Value;

/// Reads and checks config.json.
///
/// `spec` has to be fresh ([`Spec::new`]); after an error its content is of no use. `arena` takes the strings:
/// [`TEXT_BYTES_MAX`](crate::limits::TEXT_BYTES_MAX) bytes, or twice the length of `json`, are always enough.
pub fn parse_config<'a>(json: &'a [u8], arena: &'a mut [u8], spec: &mut Spec<'a>) -> Result<(), Error<'a>> {
    parse(json, arena, spec, read_config, check_config)
}

/// Reads and checks the document of `exec --process`, which becomes `spec.process`. Otherwise like [`parse_config`].
pub fn parse_process<'a>(json: &'a [u8], arena: &'a mut [u8], spec: &mut Spec<'a>) -> Result<(), Error<'a>> {
    let read: ReadDocument<'a> = |value, spec| {
        spec.process = Some(read_process(value, spec)?);
        Ok(())
    };
    parse(json, arena, spec, read, check_process_document)
}

/// Reads and checks the document of `update --resources`, which becomes `spec.linux.resources`. Otherwise like
/// [`parse_config`].
pub fn parse_resources<'a>(json: &'a [u8], arena: &'a mut [u8], spec: &mut Spec<'a>) -> Result<(), Error<'a>> {
    parse(json, arena, spec, read_resources, |_| Ok(()))
}

type ReadDocument<'a> = fn(&mut Value<'_, 'a>, &mut Spec<'a>) -> Read<()>;

fn parse<'a>(
    json: &'a [u8],
    arena: &'a mut [u8],
    spec: &mut Spec<'a>,
    read: ReadDocument<'a>,
    check: fn(&Spec<'a>) -> Result<(), Broken<'a>>,
) -> Result<(), Error<'a>> {
    let mut read = |_, _, value: &mut Value<'_, 'a>| read(value, spec);
    read_document(json, arena, &mut read)?;
    check(spec).map_err(|broken| broken.in_document(json))
}
