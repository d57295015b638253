"""Layouts of skeletons: which joint has which number.

Joints with the same role have the same name in every layout, so that a measure of the left knee finds it by name.
"""

from __future__ import annotations

from dataclasses import dataclass

_MIDDLES = {
    "pelvis": ("left_hip", "right_hip"),
    "neck": ("left_shoulder", "right_shoulder"),
    "head": ("left_ear", "right_ear"),
}
"""Joints that lie between two others, for layouts that do not have them."""


@dataclass(frozen=True)
class Layout:
    """Names of the J joints in the order of the columns, and the bones between them.

    Attributes:
        name: as people call it, with the number of joints.
        joints: (J,) names: ``nose``, ``neck``, ``left_shoulder``, ….
        bones: pairs of joint numbers.
    """

    name: str
    joints: tuple[str, ...]
    bones: tuple[tuple[int, int], ...]

    def of(self, joint: str) -> tuple[int, ...] | None:
        """Return the numbers whose mean is a joint: its own, or those of the two joints around it; None if unknown.

        >>> LAYOUTS["coco17"].of("pelvis")
        (11, 12)
        """
        if joint in self.joints:
            return (self.joints.index(joint),)
        around = _MIDDLES.get(joint, ())
        if around and all(one in self.joints for one in around):
            return tuple(self.joints.index(one) for one in around)
        return None

    @property
    def mirrored(self) -> tuple[int, ...]:
        """(J,) the number of each joint's counterpart on the other side of the body."""
        return tuple(self.joints.index(_other_side(joint)) for joint in self.joints)


def _other_side(joint: str) -> str:
    side, _, rest = joint.partition("_")
    return {"left": "right_", "right": "left_"}.get(side, side + "_" * bool(rest)) + rest


def _layout(name: str, joints: str, bones: str) -> Layout:
    names = tuple(joints.replace("L", "left_").replace("R", "right_").split())
    pairs = (bone.split("-") for bone in bones.split(","))
    return Layout(name, names, tuple((int(a), int(b)) for a, b in pairs))


LAYOUTS = {
    layout.name: layout
    for layout in (
        _layout(
            "coco17",
            "nose Leye Reye Lear Rear Lshoulder Rshoulder Lelbow Relbow Lwrist Rwrist Lhip Rhip Lknee Rknee Lankle"
            " Rankle",
            "0-1,0-2,1-2,1-3,2-4,3-5,4-6,5-6,5-7,7-9,6-8,8-10,5-11,6-12,11-12,11-13,13-15,12-14,14-16",
        ),
        _layout(
            "openpose18",
            "nose neck Rshoulder Relbow Rwrist Lshoulder Lelbow Lwrist Rhip Rknee Rankle Lhip Lknee Lankle Reye Leye"
            " Rear Lear",
            "0-1,1-2,2-3,3-4,1-5,5-6,6-7,1-8,8-9,9-10,1-11,11-12,12-13,0-14,14-16,0-15,15-17",
        ),
        _layout(
            "openpose25",
            "nose neck Rshoulder Relbow Rwrist Lshoulder Lelbow Lwrist pelvis Rhip Rknee Rankle Lhip Lknee Lankle Reye"
            " Leye Rear Lear Ltoe Lsmall_toe Lheel Rtoe Rsmall_toe Rheel",
            "0-1,1-2,2-3,3-4,1-5,5-6,6-7,1-8,8-9,9-10,10-11,8-12,12-13,13-14,0-15,15-17,0-16,16-18,14-19,19-20,14-21,"
            "11-22,22-23,11-24",
        ),
        _layout(
            "blazepose33",
            "nose Leye_inner Leye Leye_outer Reye_inner Reye Reye_outer Lear Rear Lmouth Rmouth Lshoulder Rshoulder"
            " Lelbow Relbow Lwrist Rwrist Lpinky Rpinky Lindex Rindex Lthumb Rthumb Lhip Rhip Lknee Rknee Lankle Rankle"
            " Lheel Rheel Ltoe Rtoe",
            "0-1,1-2,2-3,3-7,0-4,4-5,5-6,6-8,0-9,0-10,9-10,9-11,10-12,11-12,11-13,13-15,15-17,15-19,15-21,17-19,12-14,"
            "14-16,16-18,16-20,16-22,18-20,11-23,12-24,23-24,23-25,25-27,27-29,29-31,27-31,24-26,26-28,28-30,30-32,28-32",
        ),
        _layout(
            "kinect25",
            "pelvis spine neck head Lshoulder Lelbow Lwrist Lhand Rshoulder Relbow Rwrist Rhand Lhip Lknee Lankle Ltoe"
            " Rhip Rknee Rankle Rtoe thorax Lhand_tip Lthumb Rhand_tip Rthumb",
            "0-1,1-20,20-2,2-3,20-4,4-5,5-6,6-7,20-8,8-9,9-10,10-11,0-12,12-13,13-14,14-15,0-16,16-17,17-18,18-19,"
            "7-21,6-22,11-23,10-24",
        ),
        _layout(
            "kinect22",
            "pelvis spine thorax neck head head_top Lcollar Lshoulder Lelbow Lwrist Rcollar Rshoulder Relbow Rwrist"
            " Lhip Lknee Lankle Ltoe Rhip Rknee Rankle Rtoe",
            "0-1,1-2,2-3,3-4,4-5,2-6,6-7,7-8,8-9,2-10,10-11,11-12,12-13,0-14,14-15,15-16,16-17,0-18,18-19,19-20,20-21",
        ),
        _layout(
            "h36m17",
            "pelvis Rhip Rknee Rankle Lhip Lknee Lankle spine neck nose head Lshoulder Lelbow Lwrist Rshoulder Relbow"
            " Rwrist",
            "0-1,1-2,2-3,0-4,4-5,5-6,0-7,7-8,8-9,9-10,8-11,11-12,12-13,8-14,14-15,15-16",
        ),
        _layout(
            "diver17",
            "head neck pelvis Lshoulder Lelbow Lwrist Lhip Lknee Lankle Ltoe Rshoulder Relbow Rwrist Rhip Rknee Rankle"
            " Rtoe",
            "0-1,1-2,1-3,3-4,4-5,2-6,6-7,7-8,8-9,1-10,10-11,11-12,2-13,13-14,14-15,15-16",
        ),
    )
}
"""Layouts by name. Joints of the Kinect that others call otherwise: ``thorax`` is its spine at the shoulders, ``toe``
its foot; the toe of OpenPose and BlazePose is the big toe; ``diver17`` is the diver of ``synthetic_dives``."""
