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
        let way = match function.cdev() {
            // Whoever was given the group's file alone goes by the group.
            Some(name) if can_open("/dev/iommu") && can_open_cdev(&name) => Way::iommufd(),
            _ => VfioContainer::new(None).map(|it| Way::Container(Arc::new(it))),
        };
        let why = |error| Error::Transport {
            name: address.to_string(),
            what: explain(&error, group.number, &function, &host),
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
        let device = self.device.take();
        // The crate asks sysfs for the group again while it closes, and panics without an answer. A
        // function that was pulled out has none; its files then close with the process.
        if self.function.path().join("iommu_group").exists() {
            drop(device);
        } else {
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

fn can_open_cdev(name: &str) -> bool {
    can_open(Path::new("/dev/vfio/devices").join(name))
}

/// The system's word in an error of the crate.
fn plain(error: IommufdError) -> io::Error {
    match error {
        IommufdError::IommuIoasMap(error) | IommufdError::IommuIoasUnmap(error) => error.into(),
        other => io::Error::other(other.to_string()),
    }
}

/// A sentence with what to do.
fn explain(error: &VfioError, group: u32, function: &Function, host: &Host) -> String {
    let file = match error {
        VfioError::OpenGroup(..) => format!("/dev/vfio/{group}"),
        VfioError::OpenContainer(_) => "/dev/vfio/vfio".to_owned(),
        VfioError::NewVfioIommufd(_) => "/dev/iommu".to_owned(),
        _ => function.cdev().map_or_else(
            || format!("/dev/vfio/{group}"),
            |name| format!("/dev/vfio/devices/{name}"),
        ),
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
    match (error, errno) {
        (_, Some(libc::EBUSY)) => {
            let who = function.holders(host);
            let own = who.iter().any(|holder| holder.pid == std::process::id());
            let who = match who.as_slice() {
                [] => "another process".to_owned(),
                _ if own => "this process itself".to_owned(),
                some => some.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "),
            };
            format!("{file} is held by {who} (EBUSY): a function has one driver; end that one first")
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
        (VfioError::VfioType1V2, _) => {
            "the kernel has no IOMMU driver for VFIO: `modprobe vfio_iommu_type1`".to_owned()
        }
        (VfioError::ContainerSetIOMMU(errno), _) => {
            format!("the IOMMU does not take the group: {errno}; see the kernel log")
        }
        _ => format!("{file}: {error}; see the kernel log"),
    }
}
