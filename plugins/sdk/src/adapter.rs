//! From the generated bindings to [`Check`] and back.

use std::marker::PhantomData;

use crate::{Check, Pod, bindings::exports::gatehost::check::gate::Guest, bindings::gatehost::check::types, parse};

/// Makes a [`Check`] what the generated export macro takes.
pub struct Adapter<C: Check>(PhantomData<C>);

impl<C: Check> Guest for Adapter<C> {
    fn describe() -> types::Description {
        C::describe().into()
    }

    fn validate(config: String) -> Result<(), Vec<types::ConfigError>> {
        let errors = match parse::<C::Config>(&config) {
            Err(error) => vec![error],
            Ok(config) => C::validate(&config).err().unwrap_or_default(),
        };
        if errors.is_empty() { Ok(()) } else { Err(errors.into_iter().map(Into::into).collect()) }
    }

    fn evaluate(pod: &Pod, config: String) -> Result<types::Verdict, types::Fault> {
        let config = parse::<C::Config>(&config).map_err(crate::Fault::from)?;
        Ok(C::evaluate(pod, config)?.into())
    }
}
