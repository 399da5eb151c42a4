//! Signing in: what the server is told so that it believes us, and what it has to show so that we believe it.

use std::io;

use bytes::BytesMut;
use fallible_iterator::FallibleIterator as _;
use postgres_protocol::authentication::md5_hash;
use postgres_protocol::authentication::sasl::{
    self, SCRAM_SHA_256, SCRAM_SHA_256_PLUS, ScramSha256,
};
use postgres_protocol::message::backend::{AuthenticationSaslBody, Message};
use postgres_protocol::message::frontend;

use super::address::{Address, ChannelBinding};
use super::wire::Protection;

/// A sign-in under way.
pub(super) struct SignIn<'a> {
    address: &'a Address,
    protection: Protection,
    scram: Option<ScramSha256>,
    /// Whether it is bound to the server's certificate.
    is_bound: bool,
    /// Whether the server has shown that it knows the password, too.
    is_proved: bool,
}

fn refused(why: &str) -> io::Error {
    io::Error::other(why.to_owned())
}

impl<'a> SignIn<'a> {
    pub(super) fn new(address: &'a Address, protection: Protection) -> Self {
        Self {
            address,
            protection,
            scram: None,
            is_bound: false,
            is_proved: false,
        }
    }

    /// Writes what is to be sent after this message, if anything.
    pub(super) fn answer(&mut self, message: &Message, out: &mut BytesMut) -> io::Result<()> {
        let unasked = || refused("the server went on with a sign-in that had not begun");
        match message {
            Message::AuthenticationOk => self.check(),
            Message::AuthenticationCleartextPassword => {
                if matches!(self.protection, Protection::None) {
                    return Err(refused(
                        "the server asks for the password in clear text, and the connection is not encrypted: \
                         use sslmode=verify-full, or scram-sha-256 on the server",
                    ));
                }
                frontend::password_message(self.password()?, out)
            }
            Message::AuthenticationMd5Password(body) => {
                let user = self.address.user.as_bytes();
                let hash = md5_hash(user, self.password()?, body.salt());
                frontend::password_message(hash.as_bytes(), out)
            }
            Message::AuthenticationSasl(body) => self.begin(body, out),
            Message::AuthenticationSaslContinue(body) => {
                let begun = self.scram.as_mut().ok_or_else(unasked)?;
                begun.update(body.data())?;
                frontend::sasl_response(begun.message(), out)
            }
            Message::AuthenticationSaslFinal(body) => {
                let begun = self.scram.as_mut().ok_or_else(unasked)?;
                self.is_proved = true;
                begun.finish(body.data())
            }
            _ => Err(refused(
                "the server asks for a sign-in that is not known here: set scram-sha-256 for this user",
            )),
        }
    }

    fn password(&self) -> io::Result<&'a [u8]> {
        match self.address.password.as_bytes() {
            [] => Err(refused(
                "the server asks for a password, and DATABASE_URL has none",
            )),
            password => Ok(password),
        }
    }

    fn begin(&mut self, body: &AuthenticationSaslBody, out: &mut BytesMut) -> io::Result<()> {
        let offered = |wanted: &str| body.mechanisms().any(|name| Ok(name == wanted));
        let binding = match (&self.protection, self.address.channel_binding) {
            (_, ChannelBinding::Disable) => None,
            (Protection::Tls(binding), _) => binding.clone(),
            _ => None,
        };
        let (mechanism, binding) = match binding {
            Some(binding) if offered(SCRAM_SHA_256_PLUS)? => {
                self.is_bound = true;
                let binding = sasl::ChannelBinding::tls_server_end_point(binding);
                (SCRAM_SHA_256_PLUS, binding)
            }
            // Says that we could: so the server notices if somebody has taken its offer away.
            Some(_) => (SCRAM_SHA_256, sasl::ChannelBinding::unrequested()),
            None => (SCRAM_SHA_256, sasl::ChannelBinding::unsupported()),
        };
        if !offered(mechanism)? {
            return Err(refused("the server offers no sign-in by scram-sha-256"));
        }
        self.check_bound()?;
        let begun = self
            .scram
            .insert(ScramSha256::new(self.password()?, binding));
        frontend::sasl_initial_response(mechanism, begun.message(), out)
    }

    /// Whether the server may let us in already.
    fn check(&self) -> io::Result<()> {
        self.check_bound()?;
        if self.scram.is_some() && !self.is_proved {
            return Err(refused(
                "the server did not show that it knows the password",
            ));
        }
        Ok(())
    }

    fn check_bound(&self) -> io::Result<()> {
        if self.address.channel_binding == ChannelBinding::Require && !self.is_bound {
            return Err(refused(
                "channel_binding=require asks for a sign-in that is bound to the server's certificate, and there is none",
            ));
        }
        Ok(())
    }
}
