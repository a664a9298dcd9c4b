"""P-256 arithmetic (SEC 2 version 2.0 section 2.4.2; formulas: Explicit-Formulas Database, short Weierstrass, a = -3).

Jacobian points as [x, y, z] lists that are changed in place; z = 0 is the point at infinity. `Comb` multiplies the base
point by a fixed-base comb (Lim and Lee, 1994) with signed digits over a frozen table; `Ladder` multiplies any point.
Both are sliced: `step()` does one doubling with its additions, so that the caller can poll in between. Inverses by
extended Euclid: pow(x, -1, m) answers 0 on MicroPython. Nothing here is constant-time.

Where the time goes, in instructions of a Cortex-M3 (MicroPython 1.25, 2026-11-25): product of two numbers 5,500,
remainder of a product 11,500, sum 1,200. So products are added up before a remainder is taken. A function with more
than 11 words of locals and stack takes its frame from the heap, and giving it back makes the next allocations search:
12,000 a call. So what is called for every point has few names, and uses them twice.
"""

from acq.p256_table import BASE_COMB, BLOCKS, COLUMNS, TEETH

P = 0xFFFFFFFF00000001000000000000000000000000FFFFFFFFFFFFFFFFFFFFFFFF
N = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
B = 0x5AC635D8AA3A93E7B3EBBD55769886BC651D06B0CC53B0F63BCE3C3E27D2604B


def inverse(number: int, modulus: int) -> int:
    """number ** -1 mod modulus for a prime modulus; 0 for 0."""
    low, high = number % modulus, modulus
    x, y = 1, 0
    if low == 0:
        return 0
    while low != 1:
        k, z = divmod(high, low)
        low, high = z, low
        x, y = y - k * x, x
    return x % modulus


def double(point) -> None:
    """point = 2 * point (dbl-2001-b)."""
    x, y, z = point
    if z == 0 or y == 0:
        point[2] = 0
        return
    a = z * z % P
    a = 3 * (x - a) * (x + a) % P  # alpha
    point[2] = (y + y) * z % P
    y = (y + y) * y % P  # 2 gamma
    x = (x + x) * y % P  # 4 beta
    z = (a * a - x - x) % P  # new x
    point[0] = z
    point[1] = (a * (x - z) - (y + y) * y) % P


def add_affine(point, x2: int, y2: int) -> None:
    """point = point + (x2, y2), whatever the two are (madd-2004-hmv, factored for one remainder less)."""
    x1, y1, z1 = point
    if z1 == 0:
        point[0], point[1], point[2] = x2, y2, 1
        return
    z = z1 * z1 % P
    x2 = (x2 * z - x1) % P  # h
    y2 = (y2 * (z * z1 % P) - y1) % P  # r
    if x2 == 0:
        if y2 == 0:
            double(point)
        else:
            point[2] = 0
        return
    point[2] = z1 * x2 % P
    z = x2 * x2 % P  # h squared
    z1 = (y2 * y2 - (x1 + x1 + x2) * z) % P  # new x
    point[0] = z1
    point[1] = (z * ((y2 * x1 - y1 * x2) % P) - y2 * z1) % P


def to_affine(point):
    """(x, y) of a point, None for infinity."""
    if point[2] == 0:
        return None
    z_inverse = inverse(point[2], P)
    z_square = z_inverse * z_inverse % P
    return point[0] * z_square % P, point[1] * z_square * z_inverse % P


def is_on_curve(x: int, y: int) -> bool:
    """Coordinates in range and on the curve; the cofactor is 1, so that is all."""
    return 0 <= x < P and 0 <= y < P and (y * y - (x * x - 3) * x - B) % P == 0


class CombTable:
    """Points for a Comb: x || y of 2 ** (teeth - 1) sums for each block, as tools/make_comb_table.py says."""

    def __init__(self, points, teeth: int, columns: int, blocks: int) -> None:
        self.points = points
        self.teeth = teeth
        self.columns = columns  # distance of two teeth in bits
        self.blocks = blocks
        self.rows = (columns + blocks - 1) // blocks


BASE = CombTable(BASE_COMB, TEETH, COLUMNS, BLOCKS)


def build_comb_table(x: int, y: int, teeth: int, columns: int, blocks: int):
    """A CombTable of any point but infinity, for one that is multiplied often. Not sliced: about teeth * columns
    doublings and blocks * (teeth - 1) * 2 ** (teeth - 1) additions."""
    points = bytearray(64 * blocks << (teeth - 1))  # before the heap is full of numbers
    rows = (columns + blocks - 1) // blocks
    wanted = [tooth * columns + block * rows for block in range(blocks) for tooth in range(teeth)]
    point = [x, y, 1]
    spine = {}
    for shift in range(max(wanted) + 1):
        if shift in wanted:
            spine[shift] = point[:]
        double(point)
    spine = _to_affine_all([spine[shift] for shift in wanted])
    sums = []
    for block in range(blocks):
        own = spine[block * teeth : (block + 1) * teeth]
        for index in range(1 << (teeth - 1)):
            total = [own[-1][0], own[-1][1], 1]
            for tooth in range(teeth - 1):
                px, py = own[tooth]
                add_affine(total, px, py if index >> tooth & 1 else P - py)
            sums.append(total)
    at = 0
    for px, py in _to_affine_all(sums):
        points[at : at + 32] = px.to_bytes(32, "big")
        points[at + 32 : at + 64] = py.to_bytes(32, "big")
        at += 64
    return CombTable(points, teeth, columns, blocks)


def _to_affine_all(points):
    """(x, y) of points that are not infinity, by one inversion (Montgomery's trick)."""
    products = [1]
    for point in points:
        products.append(products[-1] * point[2] % P)
    rest = inverse(products[-1], P)
    found = []
    for number in range(len(points) - 1, -1, -1):
        x, y, z = points[number]
        z_inverse = rest * products[number] % P
        rest = rest * z % P
        z_square = z_inverse * z_inverse % P
        found.append((x * z_square % P, y * z_square * z_inverse % P))
    found.reverse()
    return found


class Comb:
    """scalar * the table's point in `rows` steps, 0 <= scalar < N.

    The digits are +1 and -1, so that every column adds a point, whatever the scalar: bit i of
    (scalar + 2**bits - 1) / 2 tells the sign of 2**i. That takes an odd scalar; for an even one the negative of the
    negative is computed."""

    def __init__(self, scalar: int, table=BASE) -> None:
        self._points = table.points
        self._is_negative = not scalar & 1
        if self._is_negative:
            scalar = N - scalar
        self._picks = _pick_points(scalar, table)
        self._rows = self._row = table.rows
        self.point = [0, 1, 0]

    def step(self) -> bool:
        """One row; True when `point` is complete."""
        if self._row == 0:
            return True
        self._row -= 1
        double(self.point)
        column = self._row
        while column < len(self._picks):  # its column in each block
            self._add(self._picks[column])
            column += self._rows
        if self._row == 0 and self._is_negative:
            self.point[1] = P - self.point[1]
        return self._row == 0

    def _add(self, pick: int) -> None:
        at = (pick & 0x7F) << 6
        y = _coordinate(self._points, at + 32)
        add_affine(self.point, _coordinate(self._points, at), P - y if pick & 0x80 else y)


def _coordinate(points, at: int) -> int:
    return int.from_bytes(points[at : at + 32], "big")


def _pick_points(scalar: int, table):
    """For each column the number of its point in the table, and 0x80 where it is taken away."""
    digits = (scalar >> 1) | (1 << (table.teeth * table.columns - 1))
    half = 1 << (table.teeth - 1)
    mask = (1 << table.rows) - 1  # one block's part of a tooth: a small integer
    picks = bytearray(table.columns)
    column = 0
    for block in range(table.blocks):
        shift = block * table.rows
        words = [digits >> (tooth * table.columns + shift) & mask for tooth in range(table.teeth - 1, -1, -1)]
        for row in range(min(table.rows, table.columns - shift)):
            index = 0
            for word in words:
                index = index << 1 | (word >> row & 1)
            # Where the highest tooth is negative, all signs are turned
            index = index - half if index >= half else half - 1 - index | 0x80
            picks[column] = index + block * half
            column += 1
    return picks


class Ladder:
    """scalar * (x, y) in 256 steps."""

    def __init__(self, scalar: int, x: int, y: int) -> None:
        self._scalar = scalar
        self._bit = 256
        self._x = x
        self._y = y
        self.point = [0, 1, 0]

    def step(self) -> bool:
        """One bit; True when `point` is complete."""
        if self._bit == 0:
            return True
        self._bit -= 1
        double(self.point)
        if (self._scalar >> self._bit) & 1:
            add_affine(self.point, self._x, self._y)
        return self._bit == 0


class Verification:
    """Whether (r, s) signs a digest under a public point (FIPS 186-5 section 6.4.2), in slices. High s is taken.

    `table`: CombTable of that public point, where there is one."""

    def __init__(self, public_key: bytes, digest: bytes, signature: bytes, table=None) -> None:
        self.is_good = False
        self._comb = self._other = None
        if len(public_key) != 65 or public_key[0] != 4 or len(signature) != 64:
            return
        x = int.from_bytes(public_key[1:33], "big")
        y = int.from_bytes(public_key[33:65], "big")
        self._r = int.from_bytes(signature[:32], "big")
        s = int.from_bytes(signature[32:], "big")
        if not is_on_curve(x, y) or not 0 < self._r < N or not 0 < s < N:
            return
        w = inverse(s, N)
        self._comb = Comb(int.from_bytes(digest, "big") * w % N)
        scalar = self._r * w % N
        self._other = Ladder(scalar, x, y) if table is None else Comb(scalar, table)

    def step(self) -> bool:
        """One slice; True when `is_good` is decided."""
        if self._comb is None:
            return True
        if not self._comb.step() or not self._other.step():
            return False
        total = self._other.point
        base = to_affine(self._comb.point)
        if base is not None:
            add_affine(total, base[0], base[1])
        found = to_affine(total)
        self.is_good = found is not None and found[0] % N == self._r
        self._comb = None
        return True


def verify(public_key: bytes, digest: bytes, signature: bytes) -> bool:
    """Verification in one go."""
    verification = Verification(public_key, digest, signature)
    while not verification.step():
        pass
    return verification.is_good
