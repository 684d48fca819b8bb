#!/bin/sh
# Builds xpra's server as a package for the Debian release that this runs in, and nothing of it that guests do not use:
# build-xpra VERSION SHA256 INDEX CERTIFICATES DEPENDS, in an empty folder. Leaves xpra.deb there.
set -eu
version=$1 digest=$2 index=$3 certificates=$4 depends=$5
fail() {
  echo "E: $1"
  exit 1
}
echo "I: downloading xpra's source"
echo "xpra==$version --hash=sha256:$digest" >wanted
# pip asks each source for its description, and this one looks for all the libraries there are then: it is to find none.
mkdir nothing
printf '#!/bin/sh\ncase $* in *--exists* | *version*) exit 1 ;; esac\n' >nothing/pkg-config
chmod 755 nothing/pkg-config
# The host's own variables name files that are not here, and would count more than an option.
export REQUESTS_CA_BUNDLE="$PWD/$certificates"
PATH=$PWD/nothing:$PATH pip download --isolated --progress-bar off --no-deps --no-binary :all: --no-build-isolation \
  --require-hashes --retries 2 --timeout 30 --cert "$certificates" --index-url "$index" --requirement wanted ||
  fail "xpra $version cannot be had from $index: is it reached from here? \$PIP_INDEX_URL names another mirror of PyPI"
tar -xf "xpra-$version.tar.gz"
cd "xpra-$version"
echo "I: building xpra"
# What is asked for by nobody here would be built by what libraries are there, so each part is named.
off=
for part in client docs nvidia audio webcam printing clipboard proxy shadow rfb quic ssh ssl http mdns websockets gstreamer \
  example wireshark pytorch v4l2 qrencode evdi drm opengl Xdummy gtk3 gtk_x11 cairo wayland_client wayland_server uinput pam \
  netdev vsock brotli webp jpeg_encoder jpeg_decoder avif vpx csc_cython csc_libyuv remote_encoder service sd_listen; do
  off="$off --without-$part"
done
# Where Debian's own packages are; and domains have another /usr/local.
export DEB_PYTHON_INSTALL_LAYOUT=deb_system CFLAGS=-g0
# shellcheck disable=SC2086 # one word a part
python3 setup.py build_ext "--parallel=$(nproc)" $off || fail "xpra $version was not built"
# shellcheck disable=SC2086
python3 setup.py install --root="$PWD/../tree" --prefix=/usr $off
cd ..
echo "I: packing xpra"
# The user whose session it is cannot do it.
python3 -m compileall -q -s "$PWD/tree" tree/usr/lib
find tree -name '*.so' -exec strip --strip-unneeded {} +
# Of the whole there remain the server, its settings and its pictures.
rm -rf tree/etc/X11 tree/lib tree/usr/lib/sysusers.d tree/usr/lib/tmpfiles.d tree/usr/share/[!x]*
mkdir tree/DEBIAN
cat >tree/DEBIAN/control <<END
Package: xpra
Version: $version
Architecture: $(dpkg --print-architecture)
Maintainer: whoever built this template
Depends: $depends
Description: windows of single applications for the host
 Built from its source, since this release of Debian has none.
END
dpkg-deb --root-owner-group -Zxz --build tree xpra.deb
