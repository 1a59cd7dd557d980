/// The plans that LoweringTests hold, one fact a line. A change here is a change of what a ring enforces.
enum GoldenPlan {
  static let ring3OfRoot = """
    ring 3, namespaces 0x7e020000, mapped(uid: 1000, gid: 1000, hostUID: 1900000007, hostGID: 1900000007)
    owners ["1001:1002"]
    out of memory 500, host name ring3, loopback false, terminal 0 false
    capabilities dropped true, securebits true
    private root true
    directory /dev 755
    directory /proc 755
    directory /etc 755
    directory /run 755
    directory /var 755
    directory /run/agt 755
    directory /tmp 755
    tmpfs /tmp 268435456 65536 1777 nosuid,nodev,noexec 1900000007:1900000007
    directory /dev/shm 755
    tmpfs /dev/shm 268435456 65536 1777 nosuid,nodev,noexec 1900000007:1900000007
    directory /home 755
    directory /home/u 755
    tmpfs /home/u 268435456 65536 700 nosuid,nodev,noexec 1900000007:1900000007
    file /dev/null 644
    bind /dev/null nosuid,noexec
    file /dev/zero 644
    bind /dev/zero nosuid,noexec
    file /dev/full 644
    bind /dev/full nosuid,noexec
    file /dev/random 644
    bind /dev/random nosuid,noexec
    file /dev/urandom 644
    bind /dev/urandom nosuid,noexec
    file /dev/tty 644
    bind /dev/tty nosuid,noexec
    link /dev/fd -> /proc/self/fd
    link /dev/stdin -> /proc/self/fd/0
    link /dev/stdout -> /proc/self/fd/1
    link /dev/stderr -> /proc/self/fd/2
    proc /proc processes only false
    directory /run/agt/empty 555
    mask /proc/bus
    mask /proc/kcore
    file /run/agt/landlock-canary 444
    file /etc/passwd 644
    | root:x:0:0:root:/root:/bin/sh
    | u:x:1000:1000::/home/u:/bin/sh
    | nobody:x:65534:65534:nobody:/:/bin/false
    file /etc/group 644
    | root:x:0:
    | u:x:1000:
    | nogroup:x:65534:
    file /etc/hosts 644
    | 127.0.0.1 localhost ring3
    | ::1 localhost ip6-localhost
    file /etc/hostname 644
    | ring3
    file /etc/nsswitch.conf 644
    | passwd: files
    | group: files
    | hosts: files dns
    | services: files
    | protocols: files
    file /etc/resolv.conf 644
    | nameserver 127.0.0.53
    | options attempts:1 timeout:2
    directory /usr 755
    bind /usr ro,nosuid,nodev,rec
    link /bin -> usr/bin
    link /lib -> usr/lib
    file /etc/ld.so.cache 644
    bind /etc/ld.so.cache ro,nosuid,nodev,rec
    directory /opt 755
    directory /opt/tool 755
    bind /opt/tool ro,nosuid,nodev,rec judged 8:77
    directory /home/u/work 755
    bind /home/u/work ro,nosuid,nodev,rec judged 8:42 owner 1001:1002
    link /var/run -> /run
    link /var/tmp -> /tmp
    limits 4=0 1=268435456 2=536870912 6=64 7=256 8=65536 13=0 14=0
    landlock 6: files 0xffff, network 3, scopes 3, canary /run/agt/landlock-canary
    allow /tmp 0x77be
    allow /dev/shm 0x77be
    allow /home/u 0x77be
    allow /dev/null 0x8006
    allow /dev/zero 0x8006
    allow /dev/full 0x8006
    allow /dev/random 0x8006
    allow /dev/urandom 0x8006
    allow /dev/tty 0x8006
    allow /proc 0xc
    allow / 0x8
    allow /etc/passwd 0x4
    allow /etc/group 0x4
    allow /etc/hosts 0x4
    allow /etc/hostname 0x4
    allow /etc/nsswitch.conf 0x4
    allow /etc/resolv.conf 0x4
    allow /usr 0xd
    allow /usr/bin 0xd
    allow /usr/lib 0xd
    allow /etc/ld.so.cache 0xd
    allow /opt/tool 0xd
    allow /home/u/work 0xd
    seccomp 8 bytes, reports true
    execute /usr/bin/p ["p", "x"]
    in /home/u/work
    set PATH=/usr/bin
    set LANG=C
    set TERM=dumb
    set HOME=/home/u
    set USER=u
    set LOGNAME=u
    set TMPDIR=/tmp
    set AGT_RING=3
    set NAME=value
    """

  static let ring2OfAUser = """
    ring 2, namespaces 0x7e020000, own(uid: 1001, gid: 1002)
    owners []
    out of memory 500, host name ring2, loopback true, terminal 7 true
    capabilities dropped true, securebits true
    private root true
    directory /dev 755
    directory /proc 755
    directory /etc 755
    directory /run 755
    directory /var 755
    directory /run/agt 755
    directory /tmp 755
    tmpfs /tmp 2147483648 1048576 1777 nosuid,nodev 1001:1002
    directory /dev/shm 755
    tmpfs /dev/shm 2147483648 1048576 1777 nosuid,nodev,noexec 1001:1002
    directory /home 755
    directory /home/u 755
    tmpfs /home/u 2147483648 1048576 700 nosuid,nodev 1001:1002
    file /dev/null 644
    bind /dev/null nosuid,noexec
    file /dev/zero 644
    bind /dev/zero nosuid,noexec
    file /dev/full 644
    bind /dev/full nosuid,noexec
    file /dev/random 644
    bind /dev/random nosuid,noexec
    file /dev/urandom 644
    bind /dev/urandom nosuid,noexec
    file /dev/tty 644
    bind /dev/tty nosuid,noexec
    link /dev/fd -> /proc/self/fd
    link /dev/stdin -> /proc/self/fd/0
    link /dev/stdout -> /proc/self/fd/1
    link /dev/stderr -> /proc/self/fd/2
    directory /dev/pts 755
    devpts /dev/pts 1001:1002
    link /dev/ptmx -> pts/ptmx
    proc /proc processes only false
    directory /run/agt/empty 555
    mask /proc/bus
    mask /proc/kcore
    file /run/agt/landlock-canary 444
    file /etc/passwd 644
    | root:x:0:0:root:/root:/bin/sh
    | u:x:1001:1002::/home/u:/bin/sh
    | nobody:x:65534:65534:nobody:/:/bin/false
    file /etc/group 644
    | root:x:0:
    | u:x:1002:
    | nogroup:x:65534:
    file /etc/hosts 644
    | 127.0.0.1 localhost ring2
    | ::1 localhost ip6-localhost
    file /etc/hostname 644
    | ring2
    file /etc/nsswitch.conf 644
    | passwd: files
    | group: files
    | hosts: files dns
    | services: files
    | protocols: files
    file /etc/resolv.conf 644
    | nameserver 127.0.0.53
    | options attempts:1 timeout:2
    directory /usr 755
    bind /usr ro,nosuid,nodev,rec
    link /bin -> usr/bin
    link /lib -> usr/lib
    file /etc/ld.so.cache 644
    bind /etc/ld.so.cache ro,nosuid,nodev,rec
    directory /opt 755
    bind /opt ro,nosuid,nodev,rec
    directory /home/u/work 755
    bind /home/u/work nosuid,nodev,rec judged 8:42
    link /var/run -> /run
    link /var/tmp -> /tmp
    limits 4=0 1=17179869184 2=4294967296 6=512 7=4096 8=8388608 13=0 14=0
    landlock 6: files 0xffff, network 0, scopes 0, canary /run/agt/landlock-canary
    allow /tmp 0x77bf
    allow /dev/shm 0x77bf
    allow /home/u 0x77bf
    allow /dev/null 0x8006
    allow /dev/zero 0x8006
    allow /dev/full 0x8006
    allow /dev/random 0x8006
    allow /dev/urandom 0x8006
    allow /dev/tty 0x8006
    allow /dev/pts 0x800e
    allow /proc 0xc
    allow / 0x8
    allow /etc/passwd 0x4
    allow /etc/group 0x4
    allow /etc/hosts 0x4
    allow /etc/hostname 0x4
    allow /etc/nsswitch.conf 0x4
    allow /etc/resolv.conf 0x4
    allow /usr 0xd
    allow /usr/bin 0xd
    allow /usr/lib 0xd
    allow /etc/ld.so.cache 0xd
    allow /opt 0xd
    allow /opt/tool 0xd
    allow /home/u/work 0x77bf
    seccomp 8 bytes, reports true
    execute /usr/bin/p ["p", "x"]
    in /home/u/work
    set PATH=/usr/bin
    set LANG=C
    set TERM=dumb
    set HOME=/home/u
    set USER=u
    set LOGNAME=u
    set TMPDIR=/tmp
    set AGT_RING=2
    set NAME=value
    """

  static let ring1OfRoot = """
    ring 1, namespaces 0x2e020000, host(uid: 1900000007, gid: 1900000007)
    owners ["1001:1002"]
    out of memory 500, host name ring1, loopback false, terminal 0 false
    capabilities dropped true, securebits true
    private root false
    protect /
    proc /proc processes only false
    mask /proc/bus
    mask /proc/kcore
    mask /sys
    mask /etc/shadow
    tmpfs /dev 65536 64 755 nosuid,noexec root
    file /dev/null 644
    bind /dev/null nosuid,noexec
    file /dev/zero 644
    bind /dev/zero nosuid,noexec
    file /dev/full 644
    bind /dev/full nosuid,noexec
    file /dev/random 644
    bind /dev/random nosuid,noexec
    file /dev/urandom 644
    bind /dev/urandom nosuid,noexec
    file /dev/tty 644
    bind /dev/tty nosuid,noexec
    link /dev/fd -> /proc/self/fd
    link /dev/stdin -> /proc/self/fd/0
    link /dev/stdout -> /proc/self/fd/1
    link /dev/stderr -> /proc/self/fd/2
    link /dev/ptmx -> pts/ptmx
    directory /dev/pts 755
    directory /dev/shm 755
    devpts /dev/pts 1900000007:1900000007
    tmpfs /dev/shm 67108864 4096 1777 nosuid,nodev,noexec root
    bind /home/u/work nosuid,nodev,rec judged 8:42 owner 1001:1002
    limits 4=0 6=4096
    landlock 6: files 0x7ff2, network 0, scopes 0, canary none
    allow /dev/null 0x2
    allow /dev/zero 0x2
    allow /dev/full 0x2
    allow /dev/random 0x2
    allow /dev/urandom 0x2
    allow /dev/tty 0x2
    allow /dev/ptmx 0x2
    allow /dev/pts 0x2
    allow /dev/shm 0x77b2
    allow /home/u/work 0x77b2
    seccomp 8 bytes, reports true
    execute /usr/bin/p ["p", "x"]
    in /home/u/work
    set LANG=C
    set TERM=dumb
    set HOME=/tmp
    set USER=u
    set LOGNAME=u
    set TMPDIR=/tmp
    set AGT_RING=1
    set PATH=/usr/bin
    set NAME=value
    """

  static let ring0OfRoot = """
    ring 0, namespaces 0x20020000, unchanged
    owners []
    out of memory 0, host name ring0, loopback false, terminal 0 false
    capabilities dropped false, securebits false
    private root false
    proc /proc processes only false
    limits 
    no landlock
    seccomp 8 bytes, reports true
    execute /usr/bin/p ["p", "x"]
    in /home/u/work
    set LANG=C
    set SECRET=x
    set TERM=dumb
    set AGT_RING=0
    set PATH=/usr/bin
    set NAME=value
    """

  static let ring3WithoutNamespaces = """
    ring 3, namespaces 0x0, unchanged
    owners []
    out of memory 500, host name ring3, loopback false, terminal 0 false
    capabilities dropped true, securebits false
    private root false
    limits 4=0 1=268435456 2=536870912 6=64 7=256 8=65536 13=0 14=0
    landlock 6: files 0xffff, network 3, scopes 3, canary none
    allow /usr 0xd
    allow /bin 0xd
    allow /lib 0xd
    allow /etc/ld.so.cache 0xd
    allow /opt/tool 0xd
    allow /proc/self 0xc
    allow /dev/null 0x800e
    allow /dev/zero 0x800e
    allow /dev/full 0x800e
    allow /dev/random 0x800e
    allow /dev/urandom 0x800e
    allow /dev/tty 0x800e
    allow /home/u/work 0xd
    seccomp 8 bytes, reports true
    execute /usr/bin/p ["p", "x"]
    in /home/u/work
    set PATH=/usr/bin
    set LANG=C
    set TERM=dumb
    set HOME=/home/u
    set USER=u
    set LOGNAME=u
    set TMPDIR=/tmp
    set AGT_RING=3
    set NAME=value
    """
}
