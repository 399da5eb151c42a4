//! Who is connected: so many connections altogether, and so many of one address.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::config::edge::network_of;

/// The connections that are open. Clones share it.
#[derive(Debug, Clone)]
pub(super) struct Crowd(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    places: Arc<Semaphore>,
    places_max: u32,
    address_max: u32,
    addresses: Mutex<HashMap<IpAddr, u32>>,
}

/// A place in the crowd, which is free again when this is dropped.
#[derive(Debug)]
pub(super) struct Place {
    _place: OwnedSemaphorePermit,
    address: Option<(IpAddr, Crowd)>,
}

impl Crowd {
    /// At most `places_max` connections, and `address_max` of one address; 0 stands for no bound.
    pub(super) fn new(places_max: u32, address_max: u32) -> Self {
        Self(Arc::new(Inner {
            places: Arc::new(Semaphore::new(places_max as usize)),
            places_max,
            address_max,
            addresses: Mutex::default(),
        }))
    }

    /// A place if there is one now.
    pub(super) fn try_place(&self) -> Option<Place> {
        let place = Arc::clone(&self.0.places).try_acquire_owned().ok()?;
        Some(Place::of(place))
    }

    /// A place as soon as there is one. Nobody closes the semaphore, so it is never refused.
    pub(super) async fn place(&self) -> Option<Place> {
        let place = Arc::clone(&self.0.places).acquire_owned().await.ok()?;
        Some(Place::of(place))
    }

    /// Counts the place for this address; whether it may have one more.
    pub(super) fn admit(&self, place: &mut Place, address: IpAddr) -> bool {
        if self.0.address_max == 0 {
            return true;
        }
        let address = network_of(address);
        let mut addresses = self.lock();
        let count = addresses.entry(address).or_insert(0);
        if *count >= self.0.address_max {
            return false;
        }
        *count += 1;
        place.address = Some((address, self.clone()));
        true
    }

    /// Waits until everybody has gone.
    pub(super) async fn gone(&self) {
        let _ = self.0.places.acquire_many(self.0.places_max).await;
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<IpAddr, u32>> {
        self.0
            .addresses
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl Place {
    fn of(place: OwnedSemaphorePermit) -> Self {
        Self {
            _place: place,
            address: None,
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let Some((address, crowd)) = self.address.take() else {
            return;
        };
        let mut addresses = crowd.lock();
        if let Some(count) = addresses.get_mut(&address) {
            *count -= 1;
            if *count == 0 {
                addresses.remove(&address);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn an_address_has_so_many_places_and_gets_them_back() {
        let crowd = Crowd::new(10, 2);
        let enter = |from: &str| {
            let mut place = crowd.try_place().unwrap();
            crowd.admit(&mut place, address(from)).then_some(place)
        };
        let first = enter("192.0.2.1").unwrap();
        let _second = enter("192.0.2.1").unwrap();
        assert!(enter("192.0.2.1").is_none());
        // The same address in its other spelling, and others.
        assert!(enter("::ffff:192.0.2.1").is_none());
        assert!(enter("192.0.2.2").is_some());
        drop(first);
        let _third = enter("192.0.2.1").unwrap();
        // A whole subnet of IPv6 belongs to one customer.
        let _six = [enter("2001:db8::1").unwrap(), enter("2001:db8::2").unwrap()];
        assert!(enter("2001:db8::3").is_none());
        assert!(enter("2001:db8:0:1::3").is_some());
        assert_eq!(crowd.lock().len(), 2);
    }

    #[test]
    fn nobody_comes_in_when_all_places_are_taken() {
        let crowd = Crowd::new(1, 0);
        let place = crowd.try_place().unwrap();
        assert!(crowd.try_place().is_none());
        drop(place);
        assert!(crowd.try_place().is_some());
    }
}
