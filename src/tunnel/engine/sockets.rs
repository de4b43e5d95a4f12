//! The sockets of a device: a port in both families, or what of it is free.
//!
//! A socket lives until its readers have let go of it, some moments after it was closed. So a port
//! that was given back is waited for before it is bound again; and what another program holds is
//! asked for again, by the timers, for as long as the interface is up.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::EngineError;
use super::binding::{Binding, bind};
use super::state::{Core, DeviceSettings};
use crate::model::Family;
use crate::tunnel::drops::Cause;
use crate::tunnel::transport::Bound;

impl Core {
    /// Moves to a port, all of it or not at all.
    pub(super) fn move_to(
        self: &Arc<Self>,
        settings: &mut DeviceSettings,
        port: u16,
    ) -> Result<(), EngineError> {
        let failed = |source| EngineError::Bind { port, source };
        settings.closing.wait();
        let Binding { bound, refused } =
            bind(&*self.binder, port, settings.fwmark).map_err(failed)?;
        if let Some(refused) = refused {
            settings.closing.close(&bound);
            return Err(failed(refused));
        }
        self.use_sockets(settings, bound)
    }

    /// Binds what is free of the port. Whatever is not is asked for again by the timers.
    ///
    /// # Errors
    /// Why some of it is not bound.
    pub(super) fn listen(
        self: &Arc<Self>,
        settings: &mut DeviceSettings,
    ) -> Result<(), EngineError> {
        let port = settings.listen_port;
        let failed = |source| EngineError::Bind { port, source };
        settings.closing.wait();
        let outcome = match bind(&*self.binder, port, settings.fwmark) {
            Err(error) => Err(failed(error)),
            Ok(Binding { bound, refused }) => {
                let used = self.use_sockets(settings, bound);
                used.and(refused.map_or(Ok(()), |error| Err(failed(error))))
            }
        };
        self.is_deaf.store(outcome.is_err(), Ordering::Relaxed);
        if outcome.is_err() {
            self.drops.count(Cause::NoSocket);
        }
        outcome
    }

    /// Asks again for what could not be bound; to be called now and then.
    pub(super) fn listen_again(self: &Arc<Self>) {
        if !self.is_deaf.load(Ordering::Relaxed) {
            return;
        }
        // Who changes the settings now binds what is needed.
        let Some(mut settings) = self.settings.try_lock() else { return };
        if !self.is_up() || *self.stopped.lock() {
            return;
        }
        let bound = self.sockets.read().clone();
        let outcome = match bound {
            None => self.listen(&mut settings),
            Some(bound) => self.complete(&mut settings, bound),
        };
        if outcome.is_ok() {
            tracing::warn!("UDP port {} is bound now", settings.listen_port);
            self.knock();
        }
    }

    /// Binds the family that is missing, beside the one that is there.
    fn complete(
        self: &Arc<Self>,
        settings: &mut DeviceSettings,
        mut bound: Bound,
    ) -> Result<(), EngineError> {
        let port = bound.port;
        for family in [Family::V4, Family::V6] {
            if bound.of_mut(family).is_some() {
                continue;
            }
            match self.binder.bind(family, port, settings.fwmark) {
                Ok(None) => {}
                Ok(Some((_, socket))) => {
                    self.start_reading(&socket)?;
                    *bound.of_mut(family) = Some(socket);
                }
                Err(source) => {
                    self.drops.count(Cause::NoSocket);
                    return Err(EngineError::Bind { port, source });
                }
            }
        }
        *self.sockets.write() = Some(bound);
        self.is_deaf.store(false, Ordering::Relaxed);
        Ok(())
    }

    /// Uses these sockets from now on; the ones before are closed once nobody reads them.
    fn use_sockets(
        self: &Arc<Self>,
        settings: &mut DeviceSettings,
        bound: Bound,
    ) -> Result<(), EngineError> {
        if let Err(error) = bound.each().try_for_each(|socket| self.start_reading(socket)) {
            settings.closing.close(&bound);
            return Err(error);
        }
        let old = self.sockets.write().replace(bound);
        if let Some(old) = old {
            settings.closing.close(&old);
        }
        self.is_deaf.store(false, Ordering::Relaxed);
        Ok(())
    }

    pub(super) fn close_sockets(&self, settings: &mut DeviceSettings) {
        self.is_deaf.store(false, Ordering::Relaxed);
        let old = self.sockets.write().take();
        if let Some(old) = old {
            settings.closing.close(&old);
        }
    }
}
