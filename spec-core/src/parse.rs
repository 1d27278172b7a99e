//! The documents that roci reads, from bytes to a checked [`Spec`].

use crate::error::Error;
use crate::json::read_document;
use crate::schema::Object;
use crate::spec::Spec;
use crate::validate::{check_config, check_process_document};

/// Reads and checks config.json.
///
/// `spec` has to be fresh ([`Spec::new`]); after an error its content is of no use. `arena` takes the strings:
/// [`TEXT_BYTES_MAX`](crate::limits::TEXT_BYTES_MAX) bytes, or twice the length of `json`, are always enough.
pub fn parse_config<'a>(json: &'a [u8], arena: &'a mut [u8], spec: &mut Spec<'a>) -> Result<(), Error<'a>> {
    read_document(json, arena, Object::Config, spec)?;
    check_config(spec, json)
}

/// Reads and checks the document of `exec --process`, which becomes `spec.process`. Otherwise like [`parse_config`].
pub fn parse_process<'a>(json: &'a [u8], arena: &'a mut [u8], spec: &mut Spec<'a>) -> Result<(), Error<'a>> {
    read_document(json, arena, Object::Process, spec)?;
    check_process_document(spec, json)
}

/// Reads and checks the document of `update --resources`, which becomes `spec.linux.resources`. Otherwise like
/// [`parse_config`].
pub fn parse_resources<'a>(json: &'a [u8], arena: &'a mut [u8], spec: &mut Spec<'a>) -> Result<(), Error<'a>> {
    read_document(json, arena, Object::Resources, spec)
}
