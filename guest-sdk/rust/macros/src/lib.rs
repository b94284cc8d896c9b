//! The attribute `#[cofferdam_guest::task]`; its documentation stands at its
//! re-export in `cofferdam-guest`.

use proc_macro::TokenStream;
use quote::quote;
use syn::{Error, FnArg, ItemFn, ReturnType};

/// Turns one function into the component's exports.
#[proc_macro_attribute]
pub fn task(arguments: TokenStream, item: TokenStream) -> TokenStream {
    let arguments = proc_macro2::TokenStream::from(arguments);
    let function = match syn::parse::<ItemFn>(item) {
        Ok(function) => function,
        Err(error) => return error.to_compile_error().into(),
    };
    let problem = check(&arguments, &function)
        .err()
        .map(|error| error.to_compile_error());
    // The function itself stays even when it is refused, so that the
    // compiler's other messages about it are not lost.
    let export = problem.unwrap_or_else(|| export(&function));
    quote!(#function #export).into()
}

/// The generic helpers infer input, output and error from the function, so
/// that any spelling of the types works.
fn export(function: &ItemFn) -> proc_macro2::TokenStream {
    let name = &function.sig.ident;
    quote! {
        #[allow(unsafe_code, reason = "an export is a symbol with a fixed name")]
        const _: () = {
            struct CofferdamTask;

            impl ::cofferdam_guest::__private::Guest for CofferdamTask {
                fn run(
                    input: ::std::string::String,
                ) -> ::core::result::Result<
                    ::std::string::String,
                    ::cofferdam_guest::__private::Failed,
                > {
                    ::cofferdam_guest::__private::run(#name, &input)
                }

                fn describe() -> ::std::string::String {
                    ::cofferdam_guest::__private::describe(#name)
                }
            }

            // Natively there is no host to export to, and several tasks may
            // meet in one test binary.
            #[cfg(target_family = "wasm")]
            ::cofferdam_guest::__private::export!(
                CofferdamTask with_types_in ::cofferdam_guest::__private::bindings
            );

            // So that a native build does not call the task unused.
            #[cfg(not(target_family = "wasm"))]
            const _: (::cofferdam_guest::__private::Run, ::cofferdam_guest::__private::Describe) = (
                <CofferdamTask as ::cofferdam_guest::__private::Guest>::run,
                <CofferdamTask as ::cofferdam_guest::__private::Guest>::describe,
            );
        };
    }
}

fn check(arguments: &proc_macro2::TokenStream, function: &ItemFn) -> Result<(), Error> {
    let signature = &function.sig;
    if !arguments.is_empty() {
        return Err(Error::new_spanned(arguments, "`task` takes no arguments"));
    }
    if let Some(word) = &signature.asyncness {
        return Err(Error::new_spanned(
            word,
            "a task is not `async`: every call waits for its answer",
        ));
    }
    if !signature.generics.params.is_empty() {
        return Err(Error::new_spanned(
            &signature.generics,
            "a task is not generic: its input and output are described by one JSON schema each",
        ));
    }
    let takes_self = signature
        .inputs
        .iter()
        .any(|input| matches!(input, FnArg::Receiver(_)));
    if takes_self || signature.inputs.len() != 2 {
        return Err(Error::new_spanned(
            &signature.inputs,
            "a task takes two arguments: `ctx: Context, input: Input`",
        ));
    }
    match signature.output {
        ReturnType::Type(..) => Ok(()),
        ReturnType::Default => Err(Error::new_spanned(
            signature,
            "a task returns `Result<Output, TaskError>`",
        )),
    }
}
