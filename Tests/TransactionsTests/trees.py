"""Random trees of files, random operations on them, and a picture of the result.

trees.py prepare DIR SEED COUNT   makes COUNT trees
trees.py change DIR SEED COUNT    does the operations of the seed in each
trees.py picture DIR              prints everything that a commit has to carry, a line a path
"""
import errno, os, random, stat, sys

# No second names and no holes: what an overlay does not carry from one run to another on top of it.
single = os.environ.get('TREES_SINGLE') == '1'

def names(generator):
    return os.fsencode(generator.choice(['a', 'b', 'c', 'd e', 'new\nline', 'x\x1b[2J'])) \
        if generator.random() < 0.93 else b'\xff\xfe' + bytes([generator.randrange(65, 70)])

def prepare(top, generator, depth=0):
    os.mkdir(top)
    for name in sorted({names(generator) for _ in range(generator.randrange(1, 5))}):
        path = os.path.join(top, name)
        kind = generator.random()
        if kind < 0.3 and depth < 2:
            prepare(path, generator, depth + 1)
        elif kind < 0.4:
            os.symlink(generator.choice([b'a', b'../b', b'nowhere', b'/etc/passwd']), path)
        else:
            write(path, generator)

def write(path, generator):
    with open(path, 'wb') as file:
        if generator.random() < 0.1 and not single:
            file.seek(1 << 18)
        file.write(generator.randbytes(generator.randrange(0, 40)))
    os.chmod(path, generator.choice([0o644, 0o600, 0o640, 0o755]))
    if generator.random() < 0.2:
        os.setxattr(path, 'user.test', generator.randbytes(3))
    os.utime(path, ns=(10**18, 10**18 + generator.randrange(10**9)))

def everything(top):
    found = []
    for directory, directories, files in os.walk(top):
        directories.sort()
        found.append(directory)
        for name in sorted(directories + files):
            path = os.path.join(directory, name)
            if os.path.islink(path) or not os.path.isdir(path):
                found.append(path)
    return found

def remove(path):
    if os.path.isdir(path) and not os.path.islink(path):
        for name in sorted(os.listdir(path)):
            remove(os.path.join(path, name))
        os.rmdir(path)
    elif os.path.lexists(path):
        os.unlink(path)

def change(top, generator):
    made = set()
    for _ in range(generator.randrange(1, 12)):
        paths = everything(top)
        path = generator.choice(paths)
        directory = path if os.path.isdir(path) and not os.path.islink(path) else os.path.dirname(path)
        target = os.path.join(directory, names(generator))
        what = generator.randrange(10)
        isdir = os.path.isdir(path) and not os.path.islink(path)
        isfile = os.path.isfile(path) and not os.path.islink(path)
        if what <= 1:
            remove(target)
            write(target, generator)
        elif what == 2 and path != top:
            remove(path)
        elif what == 3:
            remove(target)
            os.mkdir(target)
            made.add(target)
            if generator.random() < 0.5:
                write(os.path.join(target, names(generator)), generator)
        elif what == 4:
            remove(target)
            os.symlink(generator.choice([b'a', b'b', b'../../..']), target)
        elif what == 5 and isfile:
            if target != path:
                remove(target)
                # Of a file that was there before, a link is a second name of a copy in both worlds.
                os.rename(path, target)
        elif what == 6 and isfile and target != path and not single:
            remove(target)
            os.link(path, target)
        elif what == 7 and isdir and path != top:
            os.chmod(path, generator.choice([0o755, 0o700, 0o775, 0o711]))
            if generator.random() < 0.5:
                os.setxattr(path, 'user.dir', generator.randbytes(2))
        elif what == 8 and isfile:
            with open(path, 'r+b') as file:
                file.seek(generator.randrange(5))
                file.write(b'changed')
            os.utime(path, ns=(10**18, 10**18 + generator.randrange(10**9)))
        elif what == 9 and path in made and isdir and not target.startswith(path):
            remove(target)
            try:
                os.rename(path, target)
            except OSError as error:
                if error.errno not in (errno.EINVAL, errno.ENOENT):
                    raise

def picture(top):
    links = {}
    for directory, directories, files in os.walk(top):
        directories.sort()
        for name in sorted(directories + files):
            path = os.path.join(directory, name)
            status = os.lstat(path)
            words = [os.path.relpath(path, top).hex(), oct(status.st_mode), status.st_uid, status.st_gid]
            if stat.S_ISLNK(status.st_mode):
                words.append(os.readlink(path).hex())
            elif stat.S_ISREG(status.st_mode):
                first = links.setdefault(status.st_ino, path)
                with open(path, 'rb') as file:
                    words += [status.st_size, hash(file.read()), status.st_mtime_ns,
                              status.st_blocks * 512 < status.st_size if status.st_size > 99999 else '',
                              os.path.relpath(first, top).hex()]
            if not stat.S_ISLNK(status.st_mode):
                words += [(name, os.getxattr(path, name).hex()) for name in sorted(os.listxattr(path))]
            print(*words)

os.umask(0o022)
verb, top = sys.argv[1], os.fsencode(sys.argv[2])
if verb == 'picture':
    picture(top)
else:
    seed, count = int(sys.argv[3]), int(sys.argv[4])
    for number in range(count):
        place = os.path.join(top, b'tree%d' % number)
        {'prepare': prepare, 'change': change}[verb](place, random.Random(seed * 100003 + number))
