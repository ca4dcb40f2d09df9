// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Opening a function through the kernel: by its own character device and iommufd where the kernel has
//! them, else by group and container.

use super::iova::Range;
use super::sys;
use crate::dma::DmaAccess;
use crate::error::Error;
use crate::pci::{Address, Function, Host};
use iommufd_bindings::iommufd as uapi;
use iommufd_ioctls::{IommuFd, IommufdError};
use std::io;
use std::os::fd::BorrowedFd;
use std::path::Path;
use std::sync::Arc;
use vfio_ioctls::{VfioContainer, VfioDevice, VfioError, VfioIommufd, VfioOps};
use vm_memory::MmapRegion;

/// A function that this process has.
pub(super) struct Attachment {
    pub(super) address: Address,
    /// Only without while it is dropped.
    device: Option<VfioDevice>,
    way: Way,
    function: Function,
}

/// Who translates its addresses.
enum Way {
    Container(Arc<VfioContainer>),
    Iommufd(Arc<VfioIommufd>),
}

impl Attachment {
    /// Takes the function at `address`.
    pub(super) fn open(address: Address) -> Result<Self, Error> {
        let host = Host::default();
        let function = host.function(address)?;
        let group = function.ready(&host)?;
        let cdev = function.cdev().map(|name| format!("/dev/vfio/devices/{name}"));
        // Whoever was given the group's file alone goes by the group.
        let cdev = cdev.filter(|file| can_open("/dev/iommu") && can_open(file));
        let why = |error| Error::Transport {
            name: address.to_string(),
            what: explain(&error, cdev.as_deref(), group.number, &function, &host),
        };
        let way = match cdev {
            Some(_) => Way::iommufd(),
            None => VfioContainer::new(None).map(|it| Way::Container(Arc::new(it))),
        };
        let way = way.map_err(why)?;
        let device = VfioDevice::new(function.path(), way.ops(), true).map_err(why)?;
        Ok(Self { address, device: Some(device), way, function })
    }

    /// The function; it is there until this value is dropped.
    pub(super) fn device(&self) -> &VfioDevice {
        self.device.as_ref().expect("it is taken out on drop alone")
    }

    /// The function's file.
    pub(super) fn fd(&self) -> BorrowedFd<'_> {
        sys::fd(self.device())
    }

    /// Addresses that the IOMMU translates for it.
    pub(super) fn ranges(&self) -> io::Result<Vec<Range>> {
        match &self.way {
            Way::Container(container) => Ok(sys::iommu(sys::fd(&**container))?.ranges),
            Way::Iommufd(way) => sys::ioas_ranges(sys::fd(&**way.iommufd()), way.ioas().id()),
        }
    }

    /// Mappings that may still be made, if the kernel tells.
    pub(super) fn entries(&self) -> Option<u32> {
        match &self.way {
            Way::Container(container) => sys::iommu(sys::fd(&**container)).ok()?.entries,
            Way::Iommufd(_) => None,
        }
    }

    /// Lets the device reach `region`, in one direction.
    pub(super) fn map(&self, iova: u64, region: &MmapRegion, access: DmaAccess) -> io::Result<()> {
        match &self.way {
            Way::Container(container) => sys::map(sys::fd(&**container), iova, region, access),
            Way::Iommufd(way) => {
                let direction = match access {
                    DmaAccess::DeviceReads => uapi::iommufd_ioas_map_flags_IOMMU_IOAS_MAP_READABLE,
                    DmaAccess::DeviceWrites => {
                        uapi::iommufd_ioas_map_flags_IOMMU_IOAS_MAP_WRITEABLE
                    }
                };
                let map = uapi::iommu_ioas_map {
                    size: size_of::<uapi::iommu_ioas_map>() as u32,
                    flags: direction | uapi::iommufd_ioas_map_flags_IOMMU_IOAS_MAP_FIXED_IOVA,
                    ioas_id: way.ioas().id(),
                    __reserved: 0,
                    user_va: region.as_ptr() as u64,
                    length: region.size() as u64,
                    iova,
                };
                way.iommufd().map_iommu_ioas(&map).map_err(plain)
            }
        }
    }

    /// Takes the range away from the device.
    pub(super) fn unmap(&self, iova: u64, len: u64) -> io::Result<()> {
        match &self.way {
            Way::Container(container) => sys::unmap(sys::fd(&**container), iova, len),
            Way::Iommufd(way) => {
                let mut unmap = uapi::iommu_ioas_unmap {
                    size: size_of::<uapi::iommu_ioas_unmap>() as u32,
                    ioas_id: way.ioas().id(),
                    iova,
                    length: len,
                };
                way.iommufd().unmap_iommu_ioas(&mut unmap).map_err(plain)
            }
        }
    }
}

impl Drop for Attachment {
    fn drop(&mut self) {
        let Some(device) = self.device.take() else { return };
        // The crate closes the function, then asks sysfs for its group, and panics without an answer. A
        // host that waits to have the function back takes it out of sysfs as soon as it is closed: so it
        // stays open until the crate is done.
        let open = sys::fd(&device).try_clone_to_owned();
        if open.is_ok() && self.function.path().join("iommu_group").exists() {
            drop(device);
        } else {
            // There would be no answer; its files then close with the process.
            std::mem::forget(device);
        }
    }
}

impl Way {
    fn iommufd() -> Result<Self, VfioError> {
        let iommufd = Arc::new(IommuFd::new().map_err(VfioError::NewVfioIommufd)?);
        Ok(Self::Iommufd(Arc::new(VfioIommufd::new(iommufd, None, None)?)))
    }

    fn ops(&self) -> Arc<dyn VfioOps> {
        match self {
            Self::Container(way) => way.clone(),
            Self::Iommufd(way) => way.clone(),
        }
    }
}

fn can_open(path: impl AsRef<Path>) -> bool {
    std::fs::OpenOptions::new().read(true).write(true).open(path).is_ok()
}

/// The system's word in an error of the crate.
fn plain(error: IommufdError) -> io::Error {
    match error {
        IommufdError::IommuIoasMap(error) | IommufdError::IommuIoasUnmap(error) => error.into(),
        other => io::Error::other(other.to_string()),
    }
}

/// A sentence with what to do. `cdev` is the function's own file, if that is the way that was taken.
fn explain(
    error: &VfioError,
    cdev: Option<&str>,
    group: u32,
    function: &Function,
    host: &Host,
) -> String {
    let file = match error {
        VfioError::OpenGroup(..) => format!("/dev/vfio/{group}"),
        VfioError::OpenContainer(_) => "/dev/vfio/vfio".to_owned(),
        VfioError::NewVfioIommufd(_) => "/dev/iommu".to_owned(),
        _ => cdev.map_or_else(|| format!("/dev/vfio/{group}"), str::to_owned),
    };
    let errno = match error {
        VfioError::OpenContainer(error)
        | VfioError::OpenGroup(error, _)
        | VfioError::OpenDeviceCdev(error) => error.raw_os_error(),
        VfioError::ContainerSetIOMMU(error)
        | VfioError::GroupGetDeviceFD(error)
        | VfioError::VfioDeviceBindIommufd(error)
        | VfioError::VfioDeviceAttachIommufdPt(error) => Some(error.errno()),
        _ => None,
    };
    // What the kernel says of a function that another has open by its own file: EINVAL, as of much else.
    let bound = matches!(error, VfioError::VfioDeviceBindIommufd(_)) && errno == Some(libc::EINVAL);
    let holders = || function.holders(host);
    match (error, errno) {
        _ if errno == Some(libc::EBUSY) || bound && !holders().is_empty() => {
            let who = holders();
            let name = if bound { "EINVAL" } else { "EBUSY" };
            let own = who.iter().any(|holder| holder.pid == std::process::id());
            let who = match who.as_slice() {
                [] => "another process".to_owned(),
                _ if own => "this process itself".to_owned(),
                some => some.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "),
            };
            format!("{file} is held by {who} ({name}): a function has one driver; end that one first")
        }
        // SET_IOMMU answers so where interrupts cannot be kept apart.
        (VfioError::ContainerSetIOMMU(_), Some(libc::EPERM))
        | (VfioError::VfioDeviceAttachIommufdPt(_), Some(libc::EPERM)) => {
            "the IOMMU does not remap interrupts, so the kernel does not lend the function: turn on \
             interrupt remapping in the firmware (x2APIC, VT-d), or accept that the device can send \
             any interrupt with the option allow_unsafe_interrupts=1 of vfio_iommu_type1"
                .to_owned()
        }
        (_, Some(libc::EACCES | libc::EPERM)) => {
            format!("{file}: not allowed; run as root, or give the user that file (chown, udev)")
        }
        (VfioError::OpenContainer(_), Some(libc::ENOENT | libc::ENODEV)) => {
            "the kernel has no VFIO: `modprobe vfio-pci`".to_owned()
        }
        (_, Some(libc::ENOENT | libc::ENODEV | libc::ENXIO)) => {
            format!("{file} is not there: the function was taken away meanwhile; `esnic devices`")
        }
        (VfioError::GroupViable, _) => {
            // It was, a moment ago.
            let now = function.group(host).and_then(|group| group.viable());
            let other = || format!("group {group} is not viable; `esnic devices` shows who is in it");
            now.err().map_or_else(other, |refusal| refusal.to_string())
        }
        (VfioError::VfioExtension, _) => {
            "the kernel has no IOMMU driver for VFIO: `modprobe vfio_iommu_type1`".to_owned()
        }
        (VfioError::ContainerSetIOMMU(errno), _) => {
            format!("the IOMMU does not take the group: {errno}; see the kernel log")
        }
        _ => format!("{file}: {error}; see the kernel log"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pci::fake::Fake;

    const ADDRESS: &str = "0000:03:00.0";
    const CDEV: &str = "/dev/vfio/devices/vfio0";

    fn errno<E: From<io::Error>>(errno: i32) -> E {
        io::Error::from_raw_os_error(errno).into()
    }

    fn fake() -> Fake {
        let fake = Fake::new();
        fake.function(ADDRESS).group(12).driver("vfio-pci").cdev("vfio0");
        fake
    }

    fn says(fake: &Fake, error: &VfioError, cdev: Option<&str>) -> String {
        let host = fake.host();
        let function = host.function(ADDRESS.parse().unwrap()).unwrap();
        explain(error, cdev, 12, &function, &host)
    }

    #[test]
    fn a_function_that_another_has_open_by_its_own_file_is_refused_with_its_name() {
        let fake = fake();
        let bind = VfioError::VfioDeviceBindIommufd(errno(libc::EINVAL));
        // It may mean something else, too.
        let text = says(&fake, &bind, Some(CDEV));
        assert!(text.starts_with(&format!("{CDEV}: failed to bind")), "{text}");
        fake.process(4242, "dpdk-app", CDEV);
        let text = says(&fake, &bind, Some(CDEV));
        let held = format!("{CDEV} is held by process 4242 (dpdk-app) (EINVAL): ");
        assert!(text.starts_with(&held) && text.ends_with("end that one first"), "{text}");
        let attach = VfioError::VfioDeviceAttachIommufdPt(errno(libc::EINVAL));
        let text = says(&fake, &attach, Some(CDEV));
        assert!(!text.contains("is held"), "{text}");
        let bind = VfioError::VfioDeviceBindIommufd(errno(libc::EBUSY));
        let text = says(&fake, &bind, Some(CDEV));
        assert!(text.contains("is held by process 4242 (dpdk-app) (EBUSY)"), "{text}");
    }

    #[test]
    fn a_kernel_without_an_iommu_driver_is_told_which_module_to_load() {
        // What the crate says when the container knows no type 1.
        let text = says(&fake(), &VfioError::VfioExtension, None);
        assert!(text.ends_with("`modprobe vfio_iommu_type1`"), "{text}");
    }

    #[test]
    fn the_file_that_is_named_is_the_one_that_was_opened() {
        let fake = fake();
        let error = VfioError::GroupGetDeviceFD(errno(libc::EACCES));
        // The function has a file of its own also where the group was the way.
        assert!(says(&fake, &error, None).starts_with("/dev/vfio/12: not allowed"));
        let error = VfioError::OpenDeviceCdev(errno(libc::EACCES));
        assert!(says(&fake, &error, Some(CDEV)).starts_with(&format!("{CDEV}: not allowed")));
        let error = VfioError::OpenContainer(errno(libc::EACCES));
        assert!(says(&fake, &error, None).starts_with("/dev/vfio/vfio: not allowed"));
    }
}
