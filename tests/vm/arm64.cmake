# Toolchain: a build for arm64, by Debian's cross compiler and what fetch-sysroot unpacked.
set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR aarch64)
set(CMAKE_C_COMPILER aarch64-linux-gnu-gcc CACHE FILEPATH "Debian's cross compiler")

set(sysroot ${CMAKE_CURRENT_LIST_DIR}/../../build/vm/sysroot-arm64)
if(DEFINED ENV{LIFETRACE_VM_CACHE})
	set(sysroot $ENV{LIFETRACE_VM_CACHE}/sysroot-arm64)
endif()
set(CMAKE_SYSROOT ${sysroot} CACHE PATH "What fetch-sysroot unpacked")
set(CMAKE_FIND_ROOT_PATH_MODE_PROGRAM NEVER)
set(CMAKE_FIND_ROOT_PATH_MODE_LIBRARY ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_INCLUDE ONLY)
set(ENV{PKG_CONFIG_SYSROOT_DIR} ${CMAKE_SYSROOT})
set(ENV{PKG_CONFIG_LIBDIR}
	${CMAKE_SYSROOT}/usr/lib/aarch64-linux-gnu/pkgconfig:${CMAKE_SYSROOT}/usr/share/pkgconfig)
